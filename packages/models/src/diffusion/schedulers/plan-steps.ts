import { ArgumentError } from '@saccade/core';
import { type PredictionType, runTimesteps, signalVariances, type VarianceSchedule } from './noise-schedule.ts';
import type { SchedulerConfig, SolverName } from './scheduler-config.ts';
import { noWeights, type SolverStep } from './solver-step.ts';

export interface StepRequest {
  readonly steps: number;
  /** DDIM: share of DDPM's noise that a step adds. Default 0. */
  readonly eta?: number | undefined;
  /** Flow matching: another shift than the checkpoint's, on evenly spaced levels 1, ..., 1 / steps. */
  readonly shift?: number | undefined;
  /** Flow matching: the noise levels themselves, falling from at most 1, the end (usually 0) included. */
  readonly noiseLevels?: readonly number[] | undefined;
}

/**
 * All steps of a run, in order.
 * @throws ArgumentError for a number of steps or a solver that does not fit the network's training
 */
export function planSteps(solver: SolverName, config: SchedulerConfig, request: StepRequest): SolverStep[] {
  const { steps, eta = 0 } = request;
  const { variance, flow } = config;
  const most = (variance ?? flow)?.trainSteps ?? 1;
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= most)) {
    throw new ArgumentError('steps', steps, `an integer from 1 to ${most}`);
  }
  if ((solver === 'flowEuler') !== (flow !== undefined)) {
    const allowed = flow
      ? 'flowEuler, since the network predicts a flow'
      : 'ddpm, ddim or dpmSolver++, since the network predicts no flow';
    throw new ArgumentError('scheduler', solver, allowed);
  }
  if (!(eta >= 0 && eta <= 1)) throw new ArgumentError('eta', eta, 'a number from 0 to 1');
  if (flow) return flowSteps(flow, request);
  for (const name of ['shift', 'noiseLevels'] as const) {
    if (request[name] !== undefined)
      throw new ArgumentError(name, request[name], 'none, since the network predicts no flow');
  }
  const trained = variance as VarianceSchedule;
  if (solver === 'ddpm') return ddpmSteps(trained, config, steps);
  return solver === 'ddim' ? ddimSteps(trained, config, steps, eta) : dpmSteps(trained, config, steps);
}

/** Weights of sample and prediction in the estimates of the clean sample and of the noise in it. */
function estimates(prediction: PredictionType, signal: number, noise: number) {
  switch (prediction) {
    case 'epsilon':
      return { clean: { sample: 1 / signal, prediction: -noise / signal }, noise: { sample: 0, prediction: 1 } };
    case 'sample':
      return {
        clean: { sample: 0, prediction: 1 },
        noise: { sample: 1 / noise, prediction: -signal / noise },
      };
    case 'v_prediction':
      return { clean: { sample: signal, prediction: -noise }, noise: { sample: noise, prediction: signal } };
  }
}

/** Ancestral sampling (Ho et al., 2020). */
function ddpmSteps(trained: VarianceSchedule, config: SchedulerConfig, steps: number): SolverStep[] {
  const variances = signalVariances(trained);
  const timesteps = runTimesteps(trained, config.spacing, steps, config.timestepOffset);
  return timesteps.map((timestep, index) => {
    const now = variances[timestep] as number;
    const following = timesteps[index + 1];
    const then = following === undefined ? 1 : (variances[following] as number);
    const [alpha, beta] = [now / then, 1 - now / then];
    const posterior = Math.max(((1 - then) / (1 - now)) * beta, 1e-20);
    const [signal, noise] = [Math.sqrt(now), Math.sqrt(1 - now)];
    return {
      timestep,
      level: { signal, noise },
      clean: estimates(trained.prediction, signal, noise).clean,
      clip: config.clip,
      next: {
        ...noWeights,
        clean: (Math.sqrt(then) * beta) / (1 - now),
        sample: (Math.sqrt(alpha) * (1 - then)) / (1 - now),
        noise: timestep > 0 ? Math.sqrt(config.stepVariance === 'large' ? beta : posterior) : 0,
      },
    };
  });
}

/** Denoising diffusion implicit models (Song et al., 2021). */
function ddimSteps(trained: VarianceSchedule, config: SchedulerConfig, steps: number, eta: number): SolverStep[] {
  const variances = signalVariances(trained);
  const stride = Math.floor(trained.trainSteps / steps);
  return runTimesteps(trained, config.spacing, steps, config.timestepOffset).map((timestep) => {
    const now = variances[timestep] as number;
    const end = config.endsClean ? 1 : (variances[0] as number);
    const then = timestep < stride ? end : (variances[timestep - stride] as number);
    const [signal, noise] = [Math.sqrt(now), Math.sqrt(1 - now)];
    const deviation = eta * Math.sqrt(((1 - then) / (1 - now)) * (1 - now / then));
    const direction = Math.sqrt(1 - then - deviation ** 2);
    const { clean, noise: inSample } = estimates(trained.prediction, signal, noise);
    return {
      timestep,
      level: { signal, noise },
      clean,
      clip: config.clip,
      next: {
        ...noWeights,
        clean: Math.sqrt(then),
        sample: direction * inSample.sample,
        prediction: direction * inSample.prediction,
        noise: deviation,
      },
    };
  });
}

/** DPM-Solver++ of first and second order, multistep (Lu et al., 2022). */
function dpmSteps(trained: VarianceSchedule, config: SchedulerConfig, steps: number): SolverStep[] {
  const { order, secondOrder, lowerOrderFinal, eulerAtFinal, endsClean } = config.dpm;
  const variances = signalVariances(trained);
  const timesteps = runTimesteps(trained, config.spacing, steps, config.timestepOffset, 1);
  const ratios = timesteps.map((timestep) => noiseRatio(variances[timestep] as number));
  ratios.push(endsClean ? 0 : noiseRatio(variances[0] as number));
  const levels = ratios.map((ratio) => {
    const signal = 1 / Math.sqrt(ratio ** 2 + 1);
    return { signal, noise: ratio * signal, logRatio: -Math.log(ratio) };
  });
  return timesteps.map((timestep, index) => {
    const [now, then] = [levels[index], levels[index + 1]] as [(typeof levels)[0], (typeof levels)[0]];
    const before = levels[index - 1];
    const last = index === timesteps.length - 1;
    const lower = last && (eulerAtFinal || (lowerOrderFinal && timesteps.length < 15) || endsClean);
    const h = then.logRatio - now.logRatio;
    const decay = -Math.expm1(-h);
    const sample = then.noise / now.noise;
    const first = { ...noWeights, sample, clean: then.signal * decay };
    const step = {
      timestep,
      level: { signal: now.signal, noise: now.noise },
      clean: estimates(trained.prediction, now.signal, now.noise).clean,
    };
    if (order === 1 || !before || lower) return { ...step, next: first };
    // The difference of the last two clean estimates, per unit of the present step's length.
    const slope = h / (now.logRatio - before.logRatio);
    const factor = secondOrder === 'midpoint' ? 0.5 * then.signal * decay : then.signal * (1 - decay / h);
    return {
      ...step,
      next: { ...first, clean: first.clean + factor * slope, previousClean: -factor * slope },
    };
  });
}

/** Standard deviation of the noise over the signal's factor, rounded as in PyTorch. */
function noiseRatio(signalVariance: number): number {
  return Math.fround(Math.sqrt((1 - signalVariance) / signalVariance));
}

/** Euler steps along a flow's velocity, from noise to the clean sample (Lipman et al., 2023). */
function flowSteps(
  { trainSteps, shift: trainedShift }: NonNullable<SchedulerConfig['flow']>,
  request: StepRequest,
): SolverStep[] {
  const levels = request.noiseLevels ?? flowLevels(trainSteps, trainedShift, request);
  checkLevels(levels);
  return levels.slice(0, -1).map((level, index) => ({
    timestep: level * trainSteps,
    level: { signal: 1 - level, noise: level },
    clean: { sample: 1, prediction: -level },
    next: { ...noWeights, sample: 1, prediction: (levels[index + 1] as number) - level },
  }));
}

function flowLevels(trainSteps: number, trainedShift: number, { steps, shift }: StepRequest): number[] {
  if (shift !== undefined) {
    if (!(shift > 0 && Number.isFinite(shift))) throw new ArgumentError('shift', shift, 'a number over 0');
    return [...Array.from({ length: steps }, (_, index) => shifted(1 - index / steps, shift)), 0];
  }
  // The least level of the training is shifted already, and again with the others: as diffusers has it.
  const least = shifted(1 / trainSteps, trainedShift);
  const level = (index: number) => (steps === 1 ? 1 : 1 + ((least - 1) * index) / (steps - 1));
  return [...Array.from({ length: steps }, (_, index) => shifted(level(index), trainedShift)), 0];
}

/** A noise level moved towards high noise. */
function shifted(level: number, shift: number): number {
  return (shift * level) / (1 + (shift - 1) * level);
}

function checkLevels(levels: readonly number[]): void {
  const sound = levels.every(
    (level, index) => level >= 0 && level < (index === 0 ? 1.000001 : (levels[index - 1] as number)),
  );
  if (!sound || levels.length < 2) {
    throw new ArgumentError('noiseLevels', levels, 'two or more numbers that fall, from at most 1 to at least 0');
  }
}
