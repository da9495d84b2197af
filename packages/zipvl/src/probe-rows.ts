import { ArgumentError, RandomStream } from '@saccade/core';

/** Which queries stand for all in a prompt. */
export interface ProbeChoice {
  readonly recent: number;
  readonly random: number;
  /** Default 0. */
  readonly seed?: number;
}

/**
 * Ascending positions of the probe queries of a prompt of n tokens: the newest, and as many before them at random. All of them where there
 * are not more.
 *
 * @throws ArgumentError where there are none
 */
export function probeRows(n: number, { recent, random, seed = 0 }: ProbeChoice): number[] {
  if (recent + random < 1) throw new ArgumentError('probes', recent + random, 'one or more in all');
  const all = Array.from({ length: n }, (_, row) => row);
  if (n <= recent + random) return all;
  const older = new RandomStream(seed).shuffle(all.slice(0, n - recent)).slice(0, random);
  return [...older.sort((a, b) => a - b), ...all.slice(n - recent)];
}

/** For each of n keys one over the number of probes (ascending) that may see it, or 0: what normalises accumulated scores (eq. 7). */
export function inverseVisits(n: number, probes: readonly number[]): Float32Array {
  const result = new Float32Array(n);
  let before = 0;
  for (let key = 0; key < n; key++) {
    while (before < probes.length && (probes[before] as number) < key) before++;
    const seen = probes.length - before;
    result[key] = seen > 0 ? 1 / seen : 0;
  }
  return result;
}
