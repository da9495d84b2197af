import { type AttentionGradients, attentionBackward, parseOptions, type Tensor } from '@saccade/core';
import { type FlashAttentionOptions, flashAttentionOptions } from './options.ts';
import { whereToLook } from './where-to-look.ts';

/** The options of the forward call that decided its probabilities. */
export type FlashAttentionBackwardOptions = Pick<FlashAttentionOptions, 'scale' | 'causal' | 'window' | 'softcap'>;

/**
 * Gradients of `flashAttention` (paper, section 3.1.2 and algorithm 2). Probabilities are recomputed from the log-sum-exp: beside the
 * results it takes 2 numbers per row. Deterministic: sums have a fixed order, no atomics.
 *
 * @param dOut f32 [B, H, N, D]: gradient by the output
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @param v as `k`
 * @param out f32 [B, H, N, D], as the forward call returned it
 * @param logSumExp f32 [B, H, N], likewise
 * @returns f32 in the shapes of q, k and v; dk and dv are summed over the query heads of each group
 * @throws OptionError, ShapeError, ArgumentError as `flashAttention`
 */
export function flashAttentionBackward(
  dOut: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  out: Tensor,
  logSumExp: Tensor,
  options: FlashAttentionBackwardOptions = {},
): AttentionGradients {
  const resolved = parseOptions(flashAttentionOptions, options);
  return attentionBackward(dOut, q, k, v, { ...whereToLook(resolved), output: out, logSumExp });
}
