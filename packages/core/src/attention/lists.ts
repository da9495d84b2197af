import type { Tensor } from '../tensor/tensor.ts';

/** Whether something is kept for each of the H query heads or for each of the Hkv key/value heads. */
export type HeadGrouping = 'queryHead' | 'kvHead';

/**
 * Keys that attention looks at: stored rows of a head, distinct within a list, in any order. All queries of a head share
 * its list, or those of a query block do. Entries at or past the valid key length are ignored; causality and the sliding
 * window still apply. A head axis of 1 is shared by all heads.
 */
export interface TokenList<Values = Tensor> {
  /** u32 [B, H, K] or [B, Hkv, K]; with `queryBlock` [B, H, Nb, K] or [B, Hkv, Nb, K] for Nb = ceil(N / queryBlock). */
  readonly indices: Values;
  /** Valid entries of each list: u32, as `indices` without K, on the device, or one number for all. Default K. */
  readonly counts?: Values | number;
  readonly per: HeadGrouping;
  /** Consecutive queries that share a list. Default: all. */
  readonly queryBlock?: number;
}

/**
 * Blocks of keys that attention looks at: block j is the rows from j keyBlock on. Distinct within a list, in any order.
 * Entries past the count are not looked at, and cost nothing. A head axis of 1 is shared by all heads.
 */
export interface BlockList<Values = Tensor> {
  /** u32 [B, H, Nb, K] or [B, Hkv, Nb, K], for Nb = ceil(N / queryBlock). */
  readonly indices: Values;
  /** Valid entries of each list: u32, as `indices` without K, on the device, or one number for all. Default K. */
  readonly counts?: Values | number;
  /**
   * How many of the first entries are full: of their valid keys, the predicate that the list is intersected with lets every query of the block see
   * every one, so that it need not be asked. Likewise; default 0. A promise: nothing checks it.
   */
  readonly full?: Values | number;
  /** Consecutive queries that share a list. */
  readonly queryBlock: number;
  /** Consecutive key rows of a block. */
  readonly keyBlock: number;
  readonly per: HeadGrouping;
}
