import { ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous, copyInto } from '../copy.ts';
import { linear } from '../matmul/linear.ts';
import { linearWeightGradient } from '../matmul/linear-gradient.ts';
import { sum } from '../reduce.ts';

/** What the recurrent layers share: steps over time, where each one finds its state, and the sizes. */

/** How a step's gates depend on the state before: `state weight^T + bias`. */
export interface RecurrentWeights {
  /** f32 [gates H, H] */
  readonly weight: Tensor;
  /** f32 [gates H] */
  readonly bias?: Tensor | undefined;
}

export interface RecurrentOptions {
  /** From the last step to the first. Default false. */
  readonly reverse?: boolean;
}

export interface RecurrentSizes {
  readonly steps: number;
  readonly batches: number;
  readonly hidden: number;
}

/** Checks what a recurrent layer of `gates` gates takes. */
export function recurrentSizes(
  operation: string,
  gates: number,
  inputGates: Tensor,
  { weight, bias }: RecurrentWeights,
  states: readonly Tensor[],
): RecurrentSizes {
  const [steps = 0, batches = 0, columns = 0] = inputGates.shape;
  const hidden = columns / gates;
  if (inputGates.rank !== 3 || !Number.isInteger(hidden) || !sameShape(weight.shape, [columns, hidden])) {
    throw new ShapeError(
      operation,
      `input gates [${inputGates.shape}] and weight [${weight.shape}] do not fit; expected [T, B, ${gates} H] and [${gates} H, H].`,
    );
  }
  if (bias && !sameShape(bias.shape, [columns])) {
    throw new ShapeError(operation, `bias is [${bias.shape}]; the weight [${weight.shape}] asks for [${columns}].`);
  }
  for (const state of states) {
    if (!sameShape(state.shape, [batches, hidden])) {
      throw new ShapeError(
        operation,
        `a first state is [${state.shape}]; the gates [${inputGates.shape}] ask for [${batches},${hidden}].`,
      );
    }
  }
  for (const tensor of [inputGates, weight, ...states]) {
    if (tensor.dtype !== 'f32')
      throw new ShapeError(operation, `a tensor is ${tensor.dtype}[${tensor.shape}]; allowed: f32.`);
  }
  return { steps, batches, hidden };
}

/** A step reads the state `from` and writes the state `to`, of T + 1 states. */
interface Step {
  readonly step: number;
  readonly from: number;
  readonly to: number;
}

/** The steps in the order in which they run. */
function stepsOf(count: number, reverse: boolean): Step[] {
  const steps = Array.from({ length: count }, (_, step) =>
    reverse ? { step, from: step + 1, to: step } : { step, from: step, to: step + 1 },
  );
  return reverse ? steps.reverse() : steps;
}

/** Scalars behind the number of units [B, H] of a step's kernels: {@link stepValues}. */
export const stepParameters = [
  ['hidden', 'u32'],
  ['step', 'u32'],
  ['from_state', 'u32'],
  ['to_state', 'u32'],
] as const;

export const stepValues = (hidden: number, { step, from, to }: Step) => [hidden, step, from, to];

/**
 * Runs the steps.
 *
 * @param states [T + 1, B, H]; the first one is set
 * @param run one step, which writes the state behind it
 * @param run.before [B, H], a view: the state before the step
 */
export function overSteps(states: Tensor, reverse: boolean, run: (step: Step, before: Tensor) => void): void {
  const { gpu, shape } = states;
  for (const step of stepsOf((shape[0] as number) - 1, reverse)) {
    gpu.tidy(() => run(step, viewAt(states, step.from)));
  }
}

/**
 * Runs the steps back through time.
 *
 * @param states [T + 1, B, H]
 * @param run one step, from `behind`, the gradient [B, H] by the state behind it as far as later steps hand it back, to that by the state
 *   before it
 * @returns f32 [B, H]: what the first step handed back
 */
export function backOverSteps(states: Tensor, reverse: boolean, run: (step: Step, behind: Tensor) => Tensor): Tensor {
  const { gpu, shape } = states;
  let handed = gpu.zeros(shape.slice(1));
  for (const step of stepsOf((shape[0] as number) - 1, reverse).reverse()) {
    const behind = handed;
    handed = gpu.tidy(() => run(step, behind));
    behind.dispose();
  }
  return handed;
}

/** Index of the first state. */
export const firstState = (steps: number, reverse: boolean): number => (reverse ? steps : 0);

/** Copies the first state [B, H] into states [T + 1, B, H]. */
export function setFirstState(states: Tensor, first: Tensor, reverse: boolean): void {
  const start = firstState((states.shape[0] as number) - 1, reverse);
  copyInto(states.slice(0, start, start + 1), first.reshape([1, ...first.shape]));
}

/** Of states [T + 1, B, H] those that the steps read, in the order of the steps: [T, B, H]. */
export function statesBefore(states: Tensor, steps: number, reverse: boolean): Tensor {
  return reverse ? states.slice(0, 1, steps + 1) : states.slice(0, 0, steps);
}

/** One of the first axis of a dense tensor, a view. */
export function viewAt(x: Tensor, index: number): Tensor {
  return x.slice(0, index, index + 1).reshape(x.shape.slice(1));
}

/** One of the first axis, contiguous. */
export function at(x: Tensor, index: number): Tensor {
  return contiguous(x.slice(0, index, index + 1)).reshape(x.shape.slice(1));
}

/** `states weight^T + bias + residual` */
export function recurrentGates(states: Tensor, { weight, bias }: RecurrentWeights, residual?: Tensor): Tensor {
  return linear(states, weight, { ...(bias ? { bias } : {}), ...(residual ? { residual } : {}) });
}

/** Gradients of a recurrent layer of G gates. */
export interface RecurrentGradients {
  /** f32 [T, B, G H] */
  readonly inputGates: Tensor;
  /** f32 [G H, H] */
  readonly weight: Tensor;
  /** f32 [G H] */
  readonly bias: Tensor;
  /** f32 [B, H]: by the first state */
  readonly hidden: Tensor;
}

/**
 * The gradients by weight and bias of {@link recurrentGates}, in one product for all steps.
 *
 * @param gradient f32 [T, B, G H], of the gates
 * @param before f32 [T, B, H]: the states that the steps read
 */
export function recurrentWeightGradients(
  gradient: Tensor,
  before: Tensor,
): Pick<RecurrentGradients, 'weight' | 'bias'> {
  return { weight: linearWeightGradient(gradient, before), bias: sum(gradient, { axis: [0, 1] }) };
}
