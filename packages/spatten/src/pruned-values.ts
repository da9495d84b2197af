import { type AttentionCall, attentionProbabilities, gather, type Tensor, topK, weightedValues } from '@saccade/core';

/** Attention whose values are read for the most probable keys only. */
export interface PrunedValues {
  /** f32 [1, H, N, D] */
  readonly output: Tensor;
  /** f32 [1, H, N, K] of all keys of the list: importance counts before values are pruned. */
  readonly probabilities: Tensor;
}

/**
 * Local value pruning (paper): per head and query the `count` largest probabilities weigh their values; the others' values are
 * not read. Probabilities stay as they are: no renormalisation.
 *
 * @param alive u32 [K]: keys that are alive; undefined for all of `keyLength`.
 */
export function prunedValues(
  { q, keys, values, options }: AttentionCall,
  alive: Tensor | undefined,
  count: number,
  keyLength: number | Tensor,
): PrunedValues {
  const { tokens: _, blocks: __, keyMultipliers: ___, normalizer: ____, ...where } = options;
  const listed = alive ? { tokens: { indices: alive.reshape([1, 1, alive.size]), per: 'kvHead' as const } } : {};
  const probabilities = attentionProbabilities(q, keys, { ...where, ...listed, keyLength });
  const { indices, values: weights } = topK(probabilities, count, { order: 'index' });
  const rows = alive ? gather(alive, indices) : indices;
  return { output: weightedValues(values, { indices: rows, weights }), probabilities };
}
