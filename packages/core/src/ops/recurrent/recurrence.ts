import { ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { linear } from '../matmul/linear.ts';

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
export interface Step {
  readonly step: number;
  readonly from: number;
  readonly to: number;
}

/** The steps in the order in which they run. */
export function stepsOf(count: number, reverse: boolean): Step[] {
  const steps = Array.from({ length: count }, (_, step) =>
    reverse ? { step, from: step + 1, to: step } : { step, from: step, to: step + 1 },
  );
  return reverse ? steps.reverse() : steps;
}

/** Index of the first state. */
export const firstState = (steps: number, reverse: boolean): number => (reverse ? steps : 0);

/** Of states [T + 1, B, H] those that the steps read, in the order of the steps: [T, B, H]. */
export function statesBefore(states: Tensor, steps: number, reverse: boolean): Tensor {
  return reverse ? states.slice(0, 1, steps + 1) : states.slice(0, 0, steps);
}

/** One of the first axis. */
export function at(x: Tensor, index: number): Tensor {
  return contiguous(x.slice(0, index, index + 1)).reshape(x.shape.slice(1));
}

/** `states weight^T + bias + residual` */
export function recurrentGates(states: Tensor, { weight, bias }: RecurrentWeights, residual?: Tensor): Tensor {
  return linear(states, weight, { ...(bias ? { bias } : {}), ...(residual ? { residual } : {}) });
}
