import { type DropoutOptions, dropout as dropoutOp } from '../../ops/dropout.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link dropoutOp}. Nothing is saved: the backward pass draws the same numbers again. */
export function dropout(input: Value, options: DropoutOptions): Value {
  return differentiable('dropout', [input], (x) => ({
    output: dropoutOp(x, options),
    gradients: [from([], (gradient) => dropoutOp(gradient, options))],
  }));
}
