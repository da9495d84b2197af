import { mergeAttention } from '@saccade/core';
import type { FlashAttentionResult } from './result.ts';

/**
 * Attention over the union of disjoint sets of keys, from attention over each: out = sum_t exp(lse_t - lse) out_t with
 * lse = log sum_t exp(lse_t). Rows that saw no key in any part give zeros. Any split of the keys will do, not just equal parts.
 *
 * @throws ArgumentError without partials or for other dtypes than f32; ShapeError where shapes differ.
 */
export function combinePartials(partials: readonly FlashAttentionResult[]): FlashAttentionResult {
  const merged = mergeAttention(partials.map(({ out, logSumExp }) => ({ output: out, logSumExp })));
  return { out: merged.output, logSumExp: merged.logSumExp };
}
