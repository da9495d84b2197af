import { attention as attentionEngine } from '../../attention/attention.ts';
import { attentionBackward } from '../../attention/backward/attention-backward.ts';
import type { AttentionBackwardOptions } from '../../attention/backward/types.ts';
import { contiguous } from '../../ops/copy.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { record, Tracked, type Value } from '../tape.ts';

/** Options of the attention engine that have a gradient. Tensors in them are constants and live until the end of the call. */
export type DifferentiableAttentionOptions = Omit<
  AttentionBackwardOptions,
  'output' | 'logSumExp' | 'streamedRowCounter'
>;

/**
 * The output of {@link attentionEngine}, differentiated by {@link attentionBackward}: no score matrix is stored in either pass.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @param v as `k`
 * @returns f32 [B, H, N, D]
 * @throws as both do; what has no gradient is refused in the backward pass.
 */
export function attention(q: Value, k: Value, v: Value, options: DifferentiableAttentionOptions = {}): Value {
  const returnLogSumExp = [q, k, v].some((input) => input instanceof Tracked);
  return record('attention', [q, k, v], (...tensors) => {
    const [queries, keys, values] = tensors as [Tensor, Tensor, Tensor];
    const { output, logSumExp } = attentionEngine(queries, keys, values, { ...options, returnLogSumExp });
    return {
      output,
      saved: logSumExp ? [queries, keys, values, output, logSumExp] : [],
      backward: (gradient, saved) => {
        const [savedQ, savedK, savedV, savedOutput, lse] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
        const results = { ...options, output: savedOutput, logSumExp: lse };
        const { dq, dk, dv } = attentionBackward(contiguous(gradient), savedQ, savedK, savedV, results);
        return [dq, dk, dv];
      },
    };
  });
}
