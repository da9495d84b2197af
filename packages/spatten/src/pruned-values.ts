import { gather, type KeyRows, type Tensor, topK, weightedValues } from '@saccade/core';

/**
 * Local value pruning (paper): per head and query the `count` largest probabilities weigh their values; the others' values are
 * not read. Probabilities stay as they are: no renormalisation.
 *
 * @param probabilities f32 [1, H, N, K] of the keys that are alive
 * @param alive u32 [K]; undefined where entry i is row i
 * @returns f32 [1, H, N, D]
 */
export function prunedValues(values: KeyRows, probabilities: Tensor, alive: Tensor | undefined, count: number): Tensor {
  const { indices, values: weights } = topK(probabilities, count, { order: 'index' });
  return weightedValues(values, { indices: alive ? gather(alive, indices) : indices, weights });
}
