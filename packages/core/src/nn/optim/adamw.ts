import { defineKernel } from '../../kernels/kernel.ts';
import { contiguous } from '../../ops/copy.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { FileTensor } from '../../tensor/tensor-file.ts';
import type { Gradients } from '../module-gradients.ts';
import type { Parameter } from '../parameter.ts';
import { checkControl, controlBinding, factor, skipped } from './control.ts';
import { checkRange, type GroupSettings, type ParameterGroup, settingsOf, withGradients } from './groups.ts';
import { type Optimizer, type OptimizerState, restoreTensors } from './optimizer.ts';

const workgroupSize = 64;

/** One invocation per element: decay, both moments and the step. */
const adamwKernel = defineKernel<{ readonly controlled: boolean }>({
  name: 'adamw',
  bindings: ({ controlled }) => [
    { name: 'gradient', type: 'array<f32>', access: 'read' },
    { name: 'parameter', type: 'array<f32>', access: 'read_write' },
    { name: 'mean', type: 'array<f32>', access: 'read_write' },
    { name: 'square', type: 'array<f32>', access: 'read_write' },
    ...controlBinding(controlled),
  ],
  parameters: [
    ['size', 'u32'],
    ['kept', 'f32'],
    ['mean_share', 'f32'],
    ['square_decay', 'f32'],
    ['square_share', 'f32'],
    ['step_size', 'f32'],
    ['spread_factor', 'f32'],
    ['epsilon', 'f32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ controlled }) => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.size${skipped(controlled)}) { return; }
  let g = gradient[at]${factor(controlled)};
  let m = mean[at] + params.mean_share * (g - mean[at]);
  let s = square[at] * params.square_decay + params.square_share * g * g;
  mean[at] = m;
  square[at] = s;
  parameter[at] = parameter[at] * params.kept - params.step_size * m / (sqrt(s) * params.spread_factor + params.epsilon);`,
  }),
});

export interface AdamWOptions extends Partial<GroupSettings> {
  /** Default 1e-3. */
  readonly learningRate?: number;
  /** Default 0.01. */
  readonly weightDecay?: number;
  /** Decay of the mean and of the mean square of gradients. Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly epsilon?: number;
  readonly groups?: readonly ParameterGroup[];
}

/** What an optimizer keeps for a parameter. */
interface Moments {
  readonly mean: Tensor;
  readonly square: Tensor;
  steps: number;
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2), with PyTorch's defaults. Parameters are changed in
 * place, by one dispatch each. Moments are made with a parameter's first step.
 */
export class AdamW implements Optimizer {
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #settings: ReadonlyMap<string, GroupSettings>;
  readonly #betas: readonly [number, number];
  readonly #epsilon: number;
  readonly #moments = new Map<string, Moments>();

  /** @throws ArgumentError for an option out of its range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdamWOptions = {}) {
    const { learningRate = 1e-3, weightDecay = 0.01, betas = [0.9, 0.999], epsilon = 1e-8, groups = [] } = options;
    for (const beta of betas) checkRange('AdamW: betas', beta, '0 <= beta < 1', beta >= 0 && beta < 1);
    checkRange('AdamW: epsilon', epsilon, 'a finite number of 0 or more', epsilon >= 0);
    const base = { learningRate, weightDecay };
    this.#parameters = parameters;
    this.#settings = new Map([...parameters.keys()].map((name) => [name, settingsOf('AdamW', name, groups, base)]));
    this.#betas = betas;
    this.#epsilon = epsilon;
  }

  /**
   * One step along the gradients; parameters without one stay.
   *
   * @param rate multiplies all learning rates, as a schedule gives it. Default 1
   * @param control see {@link Optimizer.step}
   * @throws ArgumentError, ShapeError for gradients that do not fit the parameters
   */
  step(gradients: Gradients, rate = 1, control?: Tensor): void {
    checkRange('AdamW: rate', rate, 'a finite number of 0 or more', rate >= 0);
    checkControl('AdamW', control);
    const [first, second] = this.#betas;
    for (const { name, parameter, gradient } of withGradients('AdamW', this.#parameters, gradients)) {
      const { tensor } = parameter;
      const { gpu } = tensor;
      const moments = this.#momentsOf(name, tensor);
      moments.steps++;
      const settings = this.#settings.get(name) as GroupSettings;
      const learningRate = settings.learningRate * rate;
      gpu.tidy(() => {
        gpu.launch(
          adamwKernel,
          { controlled: control !== undefined },
          {
            bindings: [contiguous(gradient), tensor, moments.mean, moments.square, ...(control ? [control] : [])],
            parameters: [
              tensor.size,
              1 - learningRate * settings.weightDecay,
              1 - first,
              second,
              1 - second,
              learningRate / (1 - first ** moments.steps),
              1 / Math.sqrt(1 - second ** moments.steps),
              this.#epsilon,
            ],
            workgroups: Math.ceil(tensor.size / workgroupSize),
            cost: { flops: 12 * tensor.size, bytes: 28 * tensor.size },
          },
        );
      });
    }
  }

  /** `mean.<name>` and `square.<name>` of the parameters that have made a step, with their number of steps. */
  state(): OptimizerState {
    const moments = [...this.#moments];
    return {
      tensors: new Map(
        moments.flatMap(([name, { mean, square }]): [string, Tensor][] => [
          [`mean.${name}`, mean],
          [`square.${name}`, square],
        ]),
      ),
      counts: Object.fromEntries(moments.map(([name, { steps }]) => [name, steps])),
    };
  }

  restore({ tensors, counts }: OptimizerState<FileTensor>): void {
    const found = restoreTensors(['mean', 'square'], this.#parameters, tensors);
    this.dispose();
    for (const [name, moments] of found) this.#moments.set(name, { ...moments, steps: counts[name] ?? 0 });
  }

  /** Frees the moments. */
  dispose(): void {
    for (const { mean, square } of this.#moments.values()) {
      mean.dispose();
      square.dispose();
    }
    this.#moments.clear();
  }

  #momentsOf(name: string, { gpu, shape }: Tensor): Moments {
    const own = this.#moments.get(name);
    if (own) return own;
    const { mean, square } = gpu.tidy(() => ({ mean: gpu.zeros(shape), square: gpu.zeros(shape) }));
    const made = { mean: gpu.keep(mean), square: gpu.keep(square), steps: 0 };
    this.#moments.set(name, made);
    return made;
  }
}
