/** Re-ttention in plain f64 loops: the definition that the GPU path is compared with. */

type Rows = readonly (readonly number[])[];

/** Queries, keys and values of one head in one step, [N][D] each. */
export interface HeadStep {
  readonly q: Rows;
  readonly k: Rows;
  readonly v: Rows;
}

/** Attention over some keys. */
export interface KeptAttention {
  /** [N][Dv] */
  readonly output: number[][];
  /** [N]: softmax denominators, relative to the largest score of all keys. */
  readonly denominators: number[];
}

/** Attention over the keys that are kept. */
export function keptAttention({ q, k, v }: HeadStep, keeps: (query: number, key: number) => boolean): KeptAttention {
  const denominators: number[] = [];
  const output = q.map((row, query) => {
    const scores = k.map(
      (key) => key.reduce((sum, value, at) => sum + value * (row[at] as number), 0) / Math.sqrt(row.length),
    );
    const maximum = Math.max(...scores);
    const weights = scores.map((score, key) => (keeps(query, key) ? Math.exp(score - maximum) : 0));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    denominators.push(total);
    return (v[0] ?? []).map((_, at) =>
      weights.reduce((sum, weight, key) => (weight === 0 ? sum : sum + (weight / total) * (v[key]?.[at] as number)), 0),
    );
  });
  return { output, denominators };
}

/** What a caching step gathers of a head. */
export interface ReferenceCache {
  /** [N]: sum of the kept keys' probabilities. */
  readonly ratio: readonly number[];
  /** [N][Dv]: sum over the other keys of probability times value. */
  readonly residual: Rows;
}

export function cacheReference(head: HeadStep, keeps: (query: number, key: number) => boolean): ReferenceCache {
  return cacheOf(
    keptAttention(head, () => true),
    keptAttention(head, keeps),
  );
}

/** The same, of attention over all keys and over the kept ones. */
export function cacheOf(full: KeptAttention, part: KeptAttention): ReferenceCache {
  const ratio = part.denominators.map((sum, query) => sum / (full.denominators[query] as number));
  const residual = full.output.map((row, query) =>
    row.map((value, at) => value - (ratio[query] as number) * (part.output[query]?.[at] as number)),
  );
  return { ratio, residual };
}

/** The output of the m-th sparse step behind a caching one, m from 1: [N][Dv]. */
export function sparseReference(
  head: HeadStep,
  keeps: (query: number, key: number) => boolean,
  { ratio, residual }: ReferenceCache,
  { m, ramp, clampRatio = false }: { readonly m: number; readonly ramp: number; readonly clampRatio?: boolean },
): number[][] {
  return keptAttention(head, keeps).output.map((row, query) => {
    const ramped = (ratio[query] as number) + (m - 1) * ramp;
    const own = clampRatio ? Math.min(ramped, 1) : ramped;
    return row.map((value, at) => own * value + (residual[query]?.[at] as number));
  });
}
