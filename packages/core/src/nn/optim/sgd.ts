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

/** One invocation per element. */
const sgdKernel = defineKernel<{ readonly momentum: boolean; readonly controlled: boolean }>({
  name: 'sgd',
  bindings: ({ momentum, controlled }) => [
    { name: 'gradient', type: 'array<f32>', access: 'read' },
    { name: 'parameter', type: 'array<f32>', access: 'read_write' },
    ...(momentum ? [{ name: 'velocity', type: 'array<f32>', access: 'read_write' } as const] : []),
    ...controlBinding(controlled),
  ],
  parameters: [
    ['size', 'u32'],
    ['learning_rate', 'f32'],
    ['weight_decay', 'f32'],
    ['momentum', 'f32'],
    ['look_ahead', 'f32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ momentum, controlled }) => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.size${skipped(controlled)}) { return; }
  let g = gradient[at]${factor(controlled)} + params.weight_decay * parameter[at];
  ${
    momentum
      ? `let v = params.momentum * velocity[at] + g;
  velocity[at] = v;
  let direction = select(v, g + params.momentum * v, params.look_ahead > 0.0);`
      : 'let direction = g;'
  }
  parameter[at] -= params.learning_rate * direction;`,
  }),
});

export interface SgdOptions extends Partial<GroupSettings> {
  readonly learningRate: number;
  /** Added to the gradient, times the parameter. Default 0. */
  readonly weightDecay?: number;
  /** Default 0. */
  readonly momentum?: number;
  /** The gradient at the point that the momentum leads to. Default false. */
  readonly nesterov?: boolean;
  readonly groups?: readonly ParameterGroup[];
}

/** Stochastic gradient descent, with momentum as in PyTorch. Parameters are changed in place, by one dispatch each. */
export class Sgd implements Optimizer {
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #settings: ReadonlyMap<string, GroupSettings>;
  readonly #momentum: number;
  readonly #nesterov: boolean;
  readonly #velocities = new Map<string, Tensor>();

  /** @throws ArgumentError for an option out of its range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: SgdOptions) {
    const { learningRate, weightDecay = 0, momentum = 0, nesterov = false, groups = [] } = options;
    checkRange('Sgd: momentum', momentum, '0 <= momentum < 1', momentum >= 0 && momentum < 1);
    const base = { learningRate, weightDecay };
    this.#parameters = parameters;
    this.#settings = new Map([...parameters.keys()].map((name) => [name, settingsOf('Sgd', name, groups, base)]));
    this.#momentum = momentum;
    this.#nesterov = nesterov;
  }

  /**
   * One step along the gradients; parameters without one stay.
   *
   * @param rate multiplies all learning rates, as a schedule gives it. Default 1
   * @param control see {@link Optimizer.step}
   * @throws ArgumentError, ShapeError for gradients that do not fit the parameters
   */
  step(gradients: Gradients, rate = 1, control?: Tensor): void {
    checkRange('Sgd: rate', rate, 'a finite number of 0 or more', rate >= 0);
    checkControl('Sgd', control);
    for (const { name, parameter, gradient } of withGradients('Sgd', this.#parameters, gradients)) {
      const { tensor } = parameter;
      const { gpu } = tensor;
      const { learningRate, weightDecay } = this.#settings.get(name) as GroupSettings;
      gpu.tidy(() => {
        const velocity = this.#momentum > 0 ? [this.#velocityOf(name, tensor)] : [];
        gpu.launch(
          sgdKernel,
          { momentum: this.#momentum > 0, controlled: control !== undefined },
          {
            bindings: [contiguous(gradient), tensor, ...velocity, ...(control ? [control] : [])],
            parameters: [tensor.size, learningRate * rate, weightDecay, this.#momentum, this.#nesterov ? 1 : 0],
            workgroups: Math.ceil(tensor.size / workgroupSize),
            cost: { flops: 6 * tensor.size, bytes: 20 * tensor.size },
          },
        );
      });
    }
  }

  /** `velocity.<name>` of the parameters that have made a step with momentum. */
  state(): OptimizerState {
    return {
      tensors: new Map([...this.#velocities].map(([name, tensor]) => [`velocity.${name}`, tensor])),
      counts: {},
    };
  }

  restore({ tensors }: OptimizerState<FileTensor>): void {
    const found = restoreTensors(['velocity'], this.#parameters, tensors);
    this.dispose();
    for (const [name, { velocity }] of found) this.#velocities.set(name, velocity);
  }

  /** Frees the velocities. */
  dispose(): void {
    for (const velocity of this.#velocities.values()) velocity.dispose();
    this.#velocities.clear();
  }

  #velocityOf(name: string, { gpu, shape }: Tensor): Tensor {
    const own = this.#velocities.get(name) ?? gpu.keep(gpu.zeros(shape));
    this.#velocities.set(name, own);
    return own;
  }
}
