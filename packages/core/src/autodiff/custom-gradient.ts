import type { Tensor } from '../tensor/tensor.ts';
import { type Recorded, record, Tracked, type Value } from './tape.ts';

/**
 * An operation with a gradient of its own: for a fused kernel, or a gradient other than the derivative, such as a
 * straight-through estimate.
 *
 * @param name for error messages
 * @param inputs tensors or tracked values; `forward` gets their tensors
 * @param forward gives the output, the tensors that the gradient reads (only these outlive the call), and `backward`:
 *   from the gradient of the output and the saved tensors to the gradients of all inputs, f32 in the inputs' shapes, undefined
 *   for none
 * @returns tracked where an input is, else the output itself
 * @throws ShapeError in the backward pass, where a gradient has another shape than its input.
 */
export function customGradient(
  name: string,
  inputs: readonly Value[],
  forward: (...tensors: readonly Tensor[]) => Recorded,
): Value {
  return record(name, inputs, forward);
}

/** The value as a constant: gradients end here. Belongs to the current scope. */
export function stopGradient(x: Value): Tensor {
  return x instanceof Tracked ? x.tensor.alias() : x;
}
