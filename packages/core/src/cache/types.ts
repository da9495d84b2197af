import type { Tensor } from '../tensor/tensor.ts';

/**
 * Keys and values of one layer, as attention reads them. Other layouts (paged, quantized, recurrent state) implement
 * the same interface.
 */
export interface LayerCache {
  /** [B, Hkv, capacity, D]; the first `length` rows of the owning cache are valid. Owned by the cache: do not dispose. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Writes rows behind the valid ones, in one dispatch; `advance` of the owning cache then makes them count. */
  append(k: Tensor, v: Tensor): void;
  /** Writes rows from `position` on, inside the valid ones. */
  overwrite(position: number, k: Tensor, v: Tensor): void;
}

/** Element types of a cache. f16 halves the memory; rows are rounded when written. */
export type CacheDtype = 'f32' | 'f16';

export interface KvCacheOptions {
  readonly layers: number;
  /** Default 1. */
  readonly batch?: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Tokens that fit. */
  readonly capacity: number;
  /** Default f32. */
  readonly dtype?: CacheDtype;
}
