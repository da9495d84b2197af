import type { KeyRows } from '../attention/paged/paged-rows.ts';
import type { AttentionOptions } from '../attention/types.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CachePrecision, PagedOptions } from './paged/precision.ts';
import type { RowChoice, RowSource } from './ragged-layout.ts';
import type { SequencePass } from './sequence-pass.ts';

/** Element types of a cache. f16 halves the memory; rows are rounded when written. */
export type CacheDtype = 'f32' | 'f16';

/** Keys and values as attention reads them: hand the tensors to the engine and spread the options into its own. */
export interface CacheView {
  /** [B, Hkv, rows, D], or ragged [rows, D], or in pages. Owned by the cache or by the scope of the append: do not dispose. */
  readonly keys: KeyRows;
  readonly values: KeyRows;
  /** Which rows count, and for window layers the window. */
  readonly options: Pick<
    AttentionOptions,
    'keyLength' | 'keyBound' | 'keyStarts' | 'keyPositions' | 'queryLength' | 'queryOffset' | 'slidingWindow'
  >;
}

/** What one layer keeps of every sequence. */
export type LayerCacheKind = 'contiguous' | 'window' | 'paged' | 'ragged' | 'state';

/** Sizes that differ from the owner's, for models whose layers are not alike. */
interface OwnSizes {
  readonly kvHeads?: number;
  readonly headSize?: number;
}

/** All tokens, contiguous per head. */
export interface ContiguousSpec extends OwnSizes {
  readonly kind: 'contiguous';
}

/** The last `window` tokens, in a ring: for layers whose queries see no further. */
export interface WindowSpec extends OwnSizes {
  readonly kind: 'window';
  /** As the engine's `slidingWindow`: a query sees itself and the window - 1 tokens before it. */
  readonly window: number;
}

/** All tokens, in pages that forks share and that may each have a precision of their own. */
export interface PagedSpec extends OwnSizes, PagedOptions {
  readonly kind: 'paged';
}

/** Recurrent or convolution state: named tensors that start as zeros. Shapes include the batch axis. */
export interface StateSpec {
  readonly kind: 'state';
  readonly tensors: Readonly<Record<string, { readonly shape: Shape; readonly dtype?: PlainDtype }>>;
}

export type LayerCacheSpec = ContiguousSpec | WindowSpec | PagedSpec | StateSpec;

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

/** Rows that eviction keeps. */
export interface KeptRows extends RowChoice {
  /**
   * Most rows that each sequence keeps, all its heads together: the memory that is kept. Default: what the lists hold, or the
   * layer where that is less.
   */
  readonly totals?: readonly number[];
  /** Tokens to leave room for behind the kept rows. Default: as many as had room before. */
  readonly room?: number;
}

/** Rows of a layer that share a precision. */
export interface RowGroup {
  /** Rows of each head, ascending: u32 [B, Hkv, K]. */
  readonly indices: Tensor;
  /** Default: full precision. */
  readonly precision?: CachePrecision;
}

/** All rows that count, at the same places for every head. */
export interface PaddedRows {
  /** [B, Hkv, M, D]; rows past a head's length hold zeros or what was there. May be views. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Sequence positions, u32 [B, Hkv, M]; anything past a head's length. */
  readonly positions: Tensor;
  /** Rows of each head, u32 [B, Hkv]. */
  readonly lengths: Tensor;
}

/** One layer's keys and values, as models and methods use them. */
export interface LayerCache {
  readonly kind: LayerCacheKind;
  /**
   * As stored: [B, Hkv, capacity or window, D], or ragged [rows, D]. Owned by the cache: do not dispose.
   * @throws RefusedError for a paged layer: see `view` and `padded`
   */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** GPU bytes of this layer. */
  readonly bytes: number;
  /** Whether the row of a token is its position: false for windows, once rows were evicted, and where tokens were left out. */
  readonly rowsArePositions: boolean;
  /** Most rows of one head that count, those of a pass that is open included. */
  readonly longest: number;
  /**
   * Writes rows behind the valid ones and returns what attention of these tokens reads, the new rows included. `advance`
   * of the owning cache then makes the rows count.
   *
   * @param k [B, Hkv, N, D], or, after `begin`, the rows of all sequences one after the other: [1, Hkv, sum of counts, D]
   * @param v as `k`
   * @param positions Where this layer caches some tokens of the pass only (one sequence): their positions, u32 [N],
   *   ascending. The layer then becomes ragged.
   * @throws CapacityError, ShapeError, ArgumentError
   */
  append(k: Tensor, v: Tensor, positions?: Tensor): CacheView;
  /** What attention reads between two passes: the rows that count. */
  view(): CacheView;
  /** The rows that count, padded to one length; copies what is ragged. The caller disposes them (or its scope does). */
  padded(): PaddedRows;
  /** Writes rows of every sequence from `position` on, inside the valid ones. @throws RefusedError where rows stand elsewhere */
  overwrite(position: number, k: Tensor, v: Tensor): void;
  /**
   * Rewrites listed rows of each head in place.
   *
   * @param k [B, Hkv, K, D]
   * @throws RefusedError for a window layer
   */
  replace(rows: RowChoice, k: Tensor, v: Tensor): void;
  /**
   * Keeps the listed rows of each head and frees the memory of the others. Ragged from then on. Inside a pass, behind the
   * layer's append, the new rows are among the rows that count.
   *
   * @throws RefusedError for a window layer; LimitError, ShapeError, ArgumentError
   */
  evict(kept: KeptRows): void;
  /**
   * Keeps the rows of each group at a precision of its own, in this order, and evicts rows of no group; groups have no row in common.
   * For paged layers. Peak memory: the layer in full precision.
   *
   * @throws RefusedError for other kinds of layers; ShapeError, ArgumentError
   */
  arrange(groups: readonly RowGroup[]): void;
}

/** A layer as it is saved: what the host knows, as JSON, and tensors whose elements are read; handles that the caller disposes. */
export interface SavedLayer {
  readonly facts: unknown;
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Rows of each head that count, per sequence, where others may hold anything: those are saved as zeros. */
  readonly rows?: readonly number[];
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
  readonly bytes: number;
  /** Tokens of a sequence of this length that fit; infinite where it does not grow. */
  capacityOf(sequence: number, length: number): number;
  /** The end of a pass in which rows were appended, or of one in which they were not or that is given up. */
  settle(pass: SequencePass | undefined): void;
  /** Why it cannot go back to these lengths, or undefined. */
  refusesTruncation(lengths: readonly number[], to: readonly number[]): string | undefined;
  truncate(lengths: readonly number[], to: readonly number[]): void;
  /** Moves into buffers for `capacity` tokens; the first `lengths[b]` of each sequence stay. */
  grow(capacity: number, lengths: readonly number[]): void;
  /** A second layer of the same content, which shares memory until one of them writes. */
  fork(): CacheLayer;
  /** What to save. */
  save(lengths: readonly number[]): SavedLayer;
  /** A new layer for the given sequences, which are copied; all their layers have this one's signature. */
  join(sources: readonly LayerSequence[], capacity: number): CacheLayer;
  dispose(): void;
}

/** Sizes of a layer's rows. */
export interface RowSizes {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly dtype: CacheDtype;
}

/** What the host knows of a sequence's rows. */
export interface RowBounds {
  /** Most rows of all heads together. */
  readonly total: number;
  /** Most rows of one head. */
  readonly longest: number;
  /** Token behind which every head has a row for every token it appended, and how many rows those are. */
  readonly since: number;
  readonly appended: number;
}

/** A layer that keeps rows of keys and values. */
export interface RowLayer extends CacheLayer {
  readonly shape: RowSizes;
  readonly keys: KeyRows;
  readonly values: KeyRows;
  readonly rowsArePositions: boolean;
  /** Of a layer whose queries see no further. */
  readonly window: number | undefined;
  bounds(sequence: number, length: number): RowBounds;
  /** Its rows, for a new layout. */
  source(lengths: readonly number[]): RowSource;
  /** Before a write: buffers that no fork shares. */
  own(lengths: readonly number[]): void;
  /** `positions` of the new rows are for ragged layers. */
  append(pass: SequencePass, k: Tensor, v: Tensor, positions?: Tensor): CacheView;
  view(pass: SequencePass): CacheView;
  /** Where rows stand at their position. */
  overwrite?(position: number, k: Tensor, v: Tensor, lengths: readonly number[]): void;
  /** Where rows do not stand in tensors, what is otherwise done by `source`. */
  padded?(): PaddedRows;
  replace?(rows: RowChoice, k: Tensor, v: Tensor): void;
  /** Keeps the listed rows in its own layout, if it can; `seen`: tokens of each sequence. */
  keep?(kept: KeptRows, seen: readonly number[]): boolean;
  arrange?(groups: readonly RowGroup[], seen: readonly number[]): void;
}
