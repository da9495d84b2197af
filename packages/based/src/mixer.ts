import type { KvCache, LayerCacheSpec, RopeTable, Tensor } from '@saccade/core';
import type { TokenMixer } from '@saccade/core/nn';

/** Where a layer finds what it keeps of earlier tokens. */
export interface CachedContext {
  /** Index of the layer, in the model and in the cache. */
  readonly layer: number;
  readonly cache: KvCache;
  /** Rotary table whose first position is that of the first new token. */
  readonly rope: RopeTable;
}

/** A mixer that also runs behind a cache, where a layer of the wanted kind stands. */
export interface CachedMixer extends TokenMixer {
  /** What the cache must hold for it. */
  cacheSpec(batch: number): LayerCacheSpec;
  /**
   * As `forward`, of tokens behind those in the cache, which takes them in.
   *
   * @param x f32 [B, N, hiddenSize], N >= 1
   * @returns f32 [B, N, hiddenSize]
   */
  forwardCached(x: Tensor, context: CachedContext): Tensor;
}
