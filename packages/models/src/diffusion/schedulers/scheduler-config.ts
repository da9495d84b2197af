import { ConfigValues } from '../../weights/config-values.ts';
import type { TimestepSpacing, VarianceSchedule } from './noise-schedule.ts';

/** Solvers by the names that `generate` takes. */
export const solverNames = ['ddpm', 'ddim', 'dpmSolver++', 'flowEuler'] as const;
export type SolverName = (typeof solverNames)[number];

/** How a network was noised in training, and how its checkpoint wants to be sampled. */
export interface SchedulerConfig {
  /** Class of the checkpoint's own scheduler, for messages. */
  readonly className: string;
  /** What the checkpoint asks for; undefined where that is none of ours. */
  readonly solver: SolverName | undefined;
  /** Of networks that predict noise, clean samples or v from discrete timesteps; undefined where they predict a flow's velocity. */
  readonly variance?: VarianceSchedule | undefined;
  /** Of flow matching. */
  readonly flow?: FlowSchedule | undefined;
  readonly spacing: TimestepSpacing;
  readonly timestepOffset: number;
  /** Bound of the clean estimate's absolute value, where there is one. */
  readonly clip?: number | undefined;
  /** DDIM: whether the last step ends at no noise at all. */
  readonly endsClean: boolean;
  /** DDPM: variance of the noise that a step adds, by the posterior (`small`) or beta itself (`large`). */
  readonly stepVariance: 'small' | 'large';
  readonly dpm: DpmConfig;
}

export interface FlowSchedule {
  readonly trainSteps: number;
  /** Towards high noise: s in s u / (1 + (s - 1) u). */
  readonly shift: number;
}

export interface DpmConfig {
  readonly order: 1 | 2;
  readonly secondOrder: 'midpoint' | 'heun';
  /** Whether the last of few steps is of first order. */
  readonly lowerOrderFinal: boolean;
  readonly eulerAtFinal: boolean;
  /** Whether the last step ends at no noise, rather than at the least of the training. */
  readonly endsClean: boolean;
}

/** Of class names: solver, defaults of clipping, spacing and betas. */
const classes: Readonly<
  Record<string, { solver?: SolverName; flow?: true; clips?: true; spacing?: TimestepSpacing; cogVideoX?: true }>
> = {
  DDPMScheduler: { solver: 'ddpm', clips: true },
  DDIMScheduler: { solver: 'ddim', clips: true },
  DPMSolverMultistepScheduler: { solver: 'dpmSolver++', spacing: 'linspace' },
  FlowMatchEulerDiscreteScheduler: { solver: 'flowEuler', flow: true },
  // Its steps are DDIM's; it has a bound in its configuration and does not apply it.
  CogVideoXDDIMScheduler: { solver: 'ddim', cogVideoX: true },
  CogVideoXDPMScheduler: { cogVideoX: true },
  PNDMScheduler: {},
  EulerDiscreteScheduler: { spacing: 'linspace' },
  EulerAncestralDiscreteScheduler: { spacing: 'linspace' },
  UniPCMultistepScheduler: { spacing: 'linspace' },
};

/** DiT's training: 1000 steps, linear betas, the network predicts noise. */
export const defaultScheduler: SchedulerConfig = schedulerConfig({ _class_name: 'DDIMScheduler', clip_sample: false });

/** Reads diffusers' `scheduler_config.json`. @throws ModelConfigError */
export function schedulerConfig(json: unknown): SchedulerConfig {
  const values = ConfigValues.of('scheduler_config.json', json);
  const className = values.text('_class_name');
  const known = Object.hasOwn(classes, className) ? classes[className] : undefined;
  if (!known) throw values.unsupported('_class_name', className, Object.keys(classes).join(', '));
  for (const name of [
    'thresholding',
    'use_karras_sigmas',
    'use_exponential_sigmas',
    'use_beta_sigmas',
    'use_lu_lambdas',
    'use_flow_sigmas',
    'use_dynamic_shifting',
    'stochastic_sampling',
    'invert_sigmas',
  ]) {
    if (values.flag(name, false)) throw values.unsupported(name, true, 'false');
  }
  for (const name of ['trained_betas', 'shift_terminal']) {
    if (values.has(name)) throw values.unsupported(name, '...', 'none');
  }
  const common = {
    className,
    solver: known.solver,
    spacing: values.only('timestep_spacing', known.spacing ?? 'leading', ['leading', 'linspace', 'trailing']),
    timestepOffset: values.natural('steps_offset', 0),
    endsClean: values.flag('set_alpha_to_one', true),
    clip: known.clips && values.flag('clip_sample', true) ? values.positive('clip_sample_range', 1) : undefined,
    stepVariance: stepVariance(values, known.solver),
    dpm: dpmConfig(values, known.solver),
  };
  const trainSteps = values.count('num_train_timesteps', 1000);
  if (known.flow) return { ...common, flow: { trainSteps, shift: values.positive('shift', 1) } };
  const zeroTerminalSnr = values.flag('rescale_betas_zero_snr', false);
  const prediction = values.only('prediction_type', 'epsilon', ['epsilon', 'sample', 'v_prediction']);
  if (zeroTerminalSnr && prediction === 'epsilon') {
    throw values.unsupported('rescale_betas_zero_snr', true, 'false where the network predicts noise');
  }
  if (zeroTerminalSnr && known.solver === 'dpmSolver++') {
    throw values.unsupported('rescale_betas_zero_snr', true, 'false');
  }
  return {
    ...common,
    variance: {
      trainSteps,
      betaStart: values.positive('beta_start', known.cogVideoX ? 0.00085 : 0.0001),
      betaEnd: values.positive('beta_end', known.cogVideoX ? 0.012 : 0.02),
      betas: values.only('beta_schedule', known.cogVideoX ? 'scaled_linear' : 'linear', [
        'linear',
        'scaled_linear',
        'squaredcos_cap_v2',
      ]),
      zeroTerminalSnr,
      rounded: !known.cogVideoX,
      snrShift: known.cogVideoX ? values.positive('snr_shift_scale', 3) : 1,
      prediction,
    },
  };
}

function stepVariance(values: ConfigValues, solver: SolverName | undefined): 'small' | 'large' {
  if (solver !== 'ddpm') return 'small';
  // A learned variance is predicted beside the noise; pipelines of DiT leave it out, and so does this one.
  const names = ['fixed_small', 'fixed_small_log', 'fixed_large', 'learned', 'learned_range'] as const;
  return values.only('variance_type', 'fixed_small', names) === 'fixed_large' ? 'large' : 'small';
}

function dpmConfig(values: ConfigValues, solver: SolverName | undefined): DpmConfig {
  if (solver !== 'dpmSolver++') {
    return { order: 2, secondOrder: 'midpoint', lowerOrderFinal: true, eulerAtFinal: false, endsClean: true };
  }
  values.only('algorithm_type', 'dpmsolver++', ['dpmsolver++']);
  const order = values.count('solver_order', 2);
  if (order > 2) throw values.unsupported('solver_order', order, '1, 2');
  return {
    order: order as 1 | 2,
    secondOrder: values.only('solver_type', 'midpoint', ['midpoint', 'heun']),
    lowerOrderFinal: values.flag('lower_order_final', true),
    eulerAtFinal: values.flag('euler_at_final', false),
    endsClean: values.only('final_sigmas_type', 'zero', ['zero', 'sigma_min']) === 'zero',
  };
}
