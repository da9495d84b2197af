import { ArgumentError, RandomStream } from '@saccade/core';

/**
 * Indices of the k largest numbers, ascending: the paper's top-k engine on the host. Quick-select with random pivots finds the
 * k-th largest value; one filter pass keeps everything above it, and of equal ones the first, so that exactly k stay. O(n) on
 * average. The GPU path uses `topK` of the core, which gives the same set.
 *
 * @param values No NaN.
 * @throws ArgumentError for k outside 0 to n
 */
export function quickSelectTopK(values: ArrayLike<number>, k: number, seed = 0): Uint32Array {
  if (!(Number.isInteger(k) && k >= 0 && k <= values.length))
    throw new ArgumentError('k', k, `an integer from 0 to ${values.length}`);
  const result = new Uint32Array(k);
  if (k === 0) return result;
  const { threshold, equal } = kthLargest(Array.from(values), k, new RandomStream(seed));
  let left = equal;
  let at = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    if (value > threshold || (value === threshold && left-- > 0)) result[at++] = index;
  }
  return result;
}

/** The k-th largest value, and how many elements equal to it are among the k largest. */
function kthLargest(values: number[], k: number, random: RandomStream): { threshold: number; equal: number } {
  let candidates = values;
  let wanted = k;
  for (;;) {
    const pivot = candidates[random.integer(candidates.length)] as number;
    const above = candidates.filter((value) => value > pivot);
    if (wanted <= above.length) {
      candidates = above;
      continue;
    }
    const below = candidates.filter((value) => value < pivot);
    const equal = candidates.length - above.length - below.length;
    if (wanted <= above.length + equal) return { threshold: pivot, equal: wanted - above.length };
    wanted -= above.length + equal;
    candidates = below;
  }
}
