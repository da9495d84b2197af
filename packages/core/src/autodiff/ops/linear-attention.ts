import {
  type LinearAttentionOptions,
  linearAttention as linearAttentionOp,
} from '../../ops/linear-attention/linear-attention.ts';
import { linearAttentionGradient } from '../../ops/linear-attention/linear-attention-gradient.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { record, type Value } from '../tape.ts';

/** Options of {@link linearAttentionOp} beside its states: a `state` is a constant and must live until the end of the call. */
export type DifferentiableLinearAttentionOptions = Omit<LinearAttentionOptions, 'returnState'>;

/** The output of {@link linearAttentionOp}. Saved for the gradient: inputs, output and normalizer. */
export function linearAttention(
  q: Value,
  k: Value,
  v: Value,
  options: DifferentiableLinearAttentionOptions = {},
): Value {
  return record('linearAttention', [q, k, v], (...tensors) => {
    const [queries, keys, values] = tensors as [Tensor, Tensor, Tensor];
    const { output, normalizer } = linearAttentionOp(queries, keys, values, options);
    return {
      output,
      saved: [queries, keys, values, output, ...(normalizer ? [normalizer] : [])],
      backward: (gradient, saved) => {
        const [savedQ, savedK, savedV, savedOutput, sums] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor?];
        const result = { output: savedOutput, ...(sums ? { normalizer: sums } : {}) };
        const { dq, dk, dv } = linearAttentionGradient(gradient, savedQ, savedK, savedV, result, options);
        return [dq, dk, dv];
      },
    };
  });
}
