import type { ModelFacts } from '@saccade/core';

/** What one layer read in one pass. */
export interface LayerTrace {
  /** Among the layers that prune. */
  readonly layer: number;
  readonly phase: string;
  readonly queries: number;
  /** Keys that it could have read, and that it read, per key/value head. */
  readonly allKeys: number;
  readonly keys: number;
  /** Key/value heads that attended. */
  readonly kvHeads: number;
  /** Value rows that were read per query head and query; as many as keys where values are not pruned. */
  readonly values: number;
}

/** Reads and work of a run beside those of the dense one, as the paper accounts for them. */
export interface Accounting {
  /** Bytes of keys and of values that attention fetches, each row once per key/value head and pass (values per query head where pruned). */
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly denseKeyBytes: number;
  readonly denseValueBytes: number;
  /** Multiplications and additions of q k^T and p v. */
  readonly flops: number;
  readonly denseFlops: number;
  /** Dense bytes over these. */
  readonly trafficReduction: number;
  readonly computationReduction: number;
}

/**
 * Accounts for what was read (paper, section on evaluation: DRAM access and computation).
 *
 * @param bytesPerElement of the cache. Default 4.
 */
export function accountFor(
  trace: readonly LayerTrace[],
  facts: Pick<ModelFacts, 'heads' | 'kvHeads' | 'headSize'>,
  bytesPerElement = 4,
): Accounting {
  const group = facts.heads / facts.kvHeads;
  const row = facts.headSize * bytesPerElement;
  let [keyRows, valueRows, denseRows, products, denseProducts] = [0, 0, 0, 0, 0];
  for (const { queries, allKeys, keys, kvHeads, values } of trace) {
    const pruned = values < keys;
    keyRows += kvHeads * keys;
    valueRows += pruned ? kvHeads * group * queries * values : kvHeads * keys;
    denseRows += facts.kvHeads * allKeys;
    products += kvHeads * group * queries * (keys + values);
    denseProducts += facts.heads * queries * 2 * allKeys;
  }
  const keyBytes = keyRows * row;
  const valueBytes = valueRows * row;
  const flops = 2 * facts.headSize * products;
  const denseFlops = 2 * facts.headSize * denseProducts;
  return {
    keyBytes,
    valueBytes,
    denseKeyBytes: denseRows * row,
    denseValueBytes: denseRows * row,
    flops,
    denseFlops,
    trafficReduction: (2 * denseRows * row) / (keyBytes + valueBytes),
    computationReduction: denseFlops / flops,
  };
}
