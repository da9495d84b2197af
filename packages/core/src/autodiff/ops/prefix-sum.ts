import { type PrefixSumOptions, prefixSum as prefixSumOp } from '../../ops/prefix-sum.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link prefixSumOp}, of f32 */
export function prefixSum(input: Value, options: PrefixSumOptions = {}): Value {
  return differentiable('prefixSum', [input], (x) => ({
    output: prefixSumOp(x, options),
    gradients: [from([], (gradient) => prefixSumOp(gradient, { ...options, reverse: !options.reverse }))],
  }));
}
