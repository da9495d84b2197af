/** New method's decode step in plain f64 loops: the definition that the GPU path is compared with. */
import { keptPositions } from './kept-positions.ts';
import type { ResolvedNewMethodOptions } from './options.ts';

/**
 * Attention of one head's newest query over the positions that are kept.
 *
 * @param q [D]
 * @param keys [M][D], the query's own token last
 * @param values [M][D]
 * @returns [D]
 */
export function newMethodReference(
  q: readonly number[],
  keys: readonly (readonly number[])[],
  values: readonly (readonly number[])[],
  options: ResolvedNewMethodOptions,
): number[] {
  const positions = keptPositions(keys.length, options);
  const scores = positions.map((position) => dot(q, keys[position] as readonly number[]) / Math.sqrt(q.length));
  const maximum = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - maximum));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return q.map((_, element) =>
    positions.reduce(
      (sum, position, index) =>
        sum + ((weights[index] as number) / total) * ((values[position] as readonly number[])[element] as number),
      0,
    ),
  );
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
}
