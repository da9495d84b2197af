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

/** Bits of a cached number, as the kernels read them. */
export interface ReadBits {
  /** Bits of keys that every head reads. Default 32. */
  readonly keyBits?: number;
  /** Bits that heads read again, all of them, where the first are not enough. Default 0. */
  readonly refetchBits?: number;
  /** Share of heads that do. Default 0. */
  readonly refetchShare?: number;
  /** Default 32. */
  readonly valueBits?: number;
  /** Bits of the dense run. Default 32. */
  readonly denseBits?: number;
}

/** Accounts for what was read (paper, section on evaluation: DRAM access and computation). Steps of quantization are not counted. */
export function accountFor(
  trace: readonly LayerTrace[],
  facts: Pick<ModelFacts, 'heads' | 'kvHeads' | 'headSize'>,
  bits: ReadBits = {},
): Accounting {
  const { keyBits = 32, refetchBits = 0, refetchShare = 0, valueBits = 32, denseBits = 32 } = bits;
  const group = facts.heads / facts.kvHeads;
  let [keyRows, valueRows, denseRows, products, denseProducts] = [0, 0, 0, 0, 0];
  for (const { queries, allKeys, keys, kvHeads, values } of trace) {
    const pruned = values < keys;
    keyRows += kvHeads * keys;
    valueRows += pruned ? kvHeads * group * queries * values : kvHeads * keys;
    denseRows += facts.kvHeads * allKeys;
    products += kvHeads * group * queries * (keys + values);
    denseProducts += facts.heads * queries * 2 * allKeys;
  }
  const bytesOf = (rows: number, width: number) => (rows * facts.headSize * width) / 8;
  const keyBytes = bytesOf(keyRows, keyBits + refetchShare * refetchBits);
  const valueBytes = bytesOf(valueRows, valueBits);
  const denseBytes = bytesOf(denseRows, denseBits);
  const flops = 2 * facts.headSize * products;
  const denseFlops = 2 * facts.headSize * denseProducts;
  return {
    keyBytes,
    valueBytes,
    denseKeyBytes: denseBytes,
    denseValueBytes: denseBytes,
    flops,
    denseFlops,
    trafficReduction: (2 * denseBytes) / (keyBytes + valueBytes),
    computationReduction: denseFlops / flops,
  };
}
