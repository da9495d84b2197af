import type { AttentionOptions } from '../attention/types.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { RowShape } from './row-storage.ts';
import type { SequencePass } from './sequence-pass.ts';

/** Element types of a cache. f16 halves the memory; rows are rounded when written. */
export type CacheDtype = 'f32' | 'f16';

/** Keys and values as attention reads them: hand the tensors to the engine and spread the options into its own. */
export interface CacheView {
  /** [B, Hkv, rows, D]. Owned by the cache or by the scope of the append: do not dispose. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Which rows count, and for window layers the window. */
  readonly options: Pick<AttentionOptions, 'keyLength' | 'queryLength' | 'slidingWindow'>;
}

/** What one layer keeps of every sequence. */
export type LayerCacheKind = 'contiguous' | 'window' | 'state';

/** Sizes that differ from the owner's, for models whose layers are not alike. */
interface RowSizes {
  readonly kvHeads?: number;
  readonly headSize?: number;
}

/** All tokens, contiguous per head. */
export interface ContiguousSpec extends RowSizes {
  readonly kind: 'contiguous';
}

/** The last `window` tokens, in a ring: for layers whose queries see no further. */
export interface WindowSpec extends RowSizes {
  readonly kind: 'window';
  /** As the engine's `slidingWindow`: a query sees itself and the window - 1 tokens before it. */
  readonly window: number;
}

/** Recurrent or convolution state: named tensors that start as zeros. Shapes include the batch axis. */
export interface StateSpec {
  readonly kind: 'state';
  readonly tensors: Readonly<Record<string, { readonly shape: Shape; readonly dtype?: PlainDtype }>>;
}

export type LayerCacheSpec = ContiguousSpec | WindowSpec | StateSpec;

export interface KvCacheOptions {
  /** How many layers, all contiguous, or what each of them keeps. */
  readonly layers: number | readonly LayerCacheSpec[];
  /** Sequences, B. Default 1. */
  readonly batch?: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Tokens of a sequence that fit. */
  readonly capacity: number;
  /** Default f32. */
  readonly dtype?: CacheDtype;
}

/** One layer's keys and values, as models and methods use them. */
export interface LayerCache {
  readonly kind: LayerCacheKind;
  /** As stored; [B, Hkv, capacity or window, D]. Owned by the cache: do not dispose. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** GPU bytes of this layer. */
  readonly bytes: number;
  /**
   * Writes rows behind the valid ones and returns what attention of these tokens reads, the new rows included. `advance`
   * of the owning cache then makes the rows count.
   *
   * @param k [B, Hkv, N, D], or, after `begin`, the rows of all sequences one after the other: [1, Hkv, sum of counts, D]
   * @param v as `k`
   * @throws CapacityError, ShapeError, ArgumentError
   */
  append(k: Tensor, v: Tensor): CacheView;
  /** What attention reads between two passes: the rows that count. */
  view(): CacheView;
  /** Writes rows of every sequence from `position` on, inside the valid ones. @throws RefusedError where the layer lacks them */
  overwrite(position: number, k: Tensor, v: Tensor): void;
}

/** One sequence of a layer, which joins others in a new layer. */
export interface LayerSequence {
  readonly layer: CacheLayer;
  readonly sequence: number;
  readonly length: number;
}

/** A layer as its owner drives it. A new layout (paged, quantized) implements this. Lengths are tokens per sequence. */
export interface CacheLayer {
  readonly kind: LayerCacheKind;
  /** Equal for layers whose sequences may stand in one batch. */
  readonly signature: string;
  /** Tokens of a sequence that fit; infinite where it does not grow. */
  readonly capacity: number;
  readonly bytes: number;
  /** Why it cannot go back to these lengths, or undefined. */
  refusesTruncation(lengths: readonly number[], to: readonly number[]): string | undefined;
  truncate(to: readonly number[]): void;
  /** Moves into buffers for `capacity` tokens; the first `lengths[b]` of each sequence stay. */
  grow(capacity: number, lengths: readonly number[]): void;
  /** A second layer of the same content, which shares memory until one of them writes. */
  fork(): CacheLayer;
  /** A new layer for the given sequences, which are copied; all their layers are like this one. */
  join(sources: readonly LayerSequence[], capacity: number): CacheLayer;
  dispose(): void;
}

/** A layer that keeps rows of keys and values. */
export interface RowLayer extends CacheLayer {
  readonly shape: RowShape;
  readonly keys: Tensor;
  readonly values: Tensor;
  append(pass: SequencePass, k: Tensor, v: Tensor): CacheView;
  view(pass: SequencePass): CacheView;
  overwrite(position: number, k: Tensor, v: Tensor, lengths: readonly number[]): void;
}
