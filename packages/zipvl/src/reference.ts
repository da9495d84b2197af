/** ZipVL in plain f64 loops: the definition that the GPU path is compared with. */
import { inverseVisits } from './probe-rows.ts';

/** Rows of numbers. */
export type Rows = readonly (readonly number[])[];

/** Causal probabilities of probe queries over all keys, [m][n]. */
export function probeProbabilities(q: Rows, k: Rows, probes: readonly number[]): number[][] {
  return probes.map((row) => {
    const query = q[row] as readonly number[];
    const scores = k.map((key, at) =>
      at <= row ? dot(query, key) / Math.sqrt(query.length) : Number.NEGATIVE_INFINITY,
    );
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  });
}

/** Column sums of each head's probabilities [H][m][n], averaged over heads, [n]. */
export function accumulatedScores(heads: readonly Rows[]): number[] {
  const columns = heads[0]?.[0]?.length ?? 0;
  return Array.from({ length: columns }, (_, column) => {
    let sum = 0;
    for (const head of heads) for (const row of head) sum += row[column] as number;
    return sum / heads.length;
  });
}

/** The fewest of the largest scores that hold the share tau of all (eq. 6). */
export function importantCount(accumulated: readonly number[], tau: number): number {
  if (tau >= 1) return accumulated.length;
  const wanted = tau * accumulated.reduce((sum, value) => sum + value, 0) * (1 - 1e-9);
  const sorted = [...accumulated].sort((a, b) => b - a);
  let sum = 0;
  for (const [index, value] of sorted.entries()) {
    sum += value;
    if (sum >= wanted) return index + 1;
  }
  return accumulated.length;
}

/** Means over the probes that may see a token (eq. 7). */
export function normalizedReference(accumulated: readonly number[], probes: readonly number[]): number[] {
  const inverse = inverseVisits(accumulated.length, probes);
  return accumulated.map((value, key) => value * (inverse[key] as number));
}

/** Ascending positions of the `count` largest; `mustKeep` is among them, in place of the weakest (eq. 8). */
export function selectTokens(normalized: readonly number[], count: number, mustKeep?: number): number[] {
  const rank = (key: number) => (key === mustKeep ? Number.POSITIVE_INFINITY : (normalized[key] as number));
  const order = normalized.map((_, key) => key);
  order.sort((a, b) => (rank(b) === rank(a) ? a - b : rank(b) - rank(a)));
  return order.slice(0, count).sort((a, b) => a - b);
}

/** Causal attention of one head among these tokens; rows of the others are zero, [n][D]. */
export function sparseAttentionReference(q: Rows, k: Rows, v: Rows, important: readonly number[]): number[][] {
  const keys = important.map((row) => k[row] as readonly number[]);
  const values = important.map((row) => v[row] as readonly number[]);
  const probabilities = probeProbabilities(
    important.map((row) => q[row] as readonly number[]),
    keys,
    important.map((_, index) => index),
  );
  const size = v[0]?.length ?? 0;
  return q.map((_, row) => {
    const index = important.indexOf(row);
    const own = probabilities[index];
    if (!own) return new Array<number>(size).fill(0);
    return Array.from({ length: size }, (__, d) =>
      own.reduce((sum, weight, key) => sum + weight * ((values[key] as readonly number[])[d] as number), 0),
    );
  });
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
}
