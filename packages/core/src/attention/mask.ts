import type { Tensor } from '../tensor/tensor.ts';
import type { CustomText } from './custom-text.ts';
import type { BlockList, TokenList } from './lists.ts';

/**
 * Which keys a query sees, as parts that compose. A part says yes or no to a (query position, key position); a position is
 * where a token stands in the sequence, from 0. No part is ever stored as N x M.
 *
 * `Values` is `Tensor` in calls of the engine, and an array of numbers in the f64 reference.
 */
export type Mask<Values = Tensor> =
  | CausalMask
  | SlidingWindowMask
  | StridedMask
  | PrefixMask<Values>
  | KeyRangeMask
  | BlockedMask
  | NeighbourhoodMask
  | TokenRelationMask<Values>
  | CustomMask<Values>
  | TokensMask<Values>
  | BlocksMask<Values>
  | AnyOfMask<Values>
  | AllOfMask<Values>
  | NotMask<Values>;

/** Keys at the query's position and before. */
export interface CausalMask {
  readonly kind: 'causal';
}

/**
 * Keys from `before` positions before the query to `after` positions behind it; with a `dilation` only those at a distance
 * divisible by it (Longformer, arXiv 2004.05150, section 3.1).
 */
export interface SlidingWindowMask {
  readonly kind: 'slidingWindow';
  readonly before: number;
  readonly after: number;
  /** Default 1. */
  readonly dilation?: number;
}

/**
 * Every `stride`-th key, whatever the query: those with position mod stride = `offset` (the columns of Sparse Transformers'
 * fixed pattern, arXiv 1904.10509, section 4.2).
 */
export interface StridedMask {
  readonly kind: 'strided';
  readonly stride: number;
  /** Default 0. */
  readonly offset?: number;
}

/** The first keys: attention sinks, or the prefix of a prefix language model. */
export interface PrefixMask<Values> {
  readonly kind: 'prefix';
  /** A number for all, or u32 [B] on the device. */
  readonly length: number | Values;
}

/** Keys at positions [start, end), whatever the query. */
export interface KeyRangeMask {
  readonly kind: 'keyRange';
  readonly start: number;
  readonly end: number;
}

/**
 * A token grid: consecutive positions from `start` on that stand row-major in 1, 2 or 3 dimensions. Queries and keys outside
 * of the grid see and are seen by nothing of the part.
 */
export interface TokenGrid {
  /** Sizes of the grid, slowest axis first: [length], [height, width] or [frames, height, width]. */
  readonly grid: readonly number[];
  /** Position of the grid's first token. Default 0. */
  readonly start?: number;
}

/** Keys in the query's own block of the grid. Blocks at the end of an axis may be smaller. */
export interface BlockedMask extends TokenGrid {
  readonly kind: 'blocked';
  /** Sizes of a block, as many as the grid has axes. */
  readonly block: readonly number[];
}

/**
 * Neighbourhood attention (arXiv 2204.07143; strides as in Generalized Neighborhood Attention, arXiv 2504.16922): per axis
 * the `window` keys nearest to the query, with the query in the middle where the border allows it, so that every query
 * sees equally many. With a `stride`, queries in a group of that many see what the group's middle one sees. With a
 * `dilation`, neighbours are that far apart, and the grid falls into as many interleaved ones; strides count in these.
 * Where an axis is `causal`, the window of a group ends at the group's last one, and no query sees behind itself.
 */
export interface NeighbourhoodMask extends TokenGrid {
  readonly kind: 'neighbourhood';
  /** Per axis; at most the axis (divided by the dilation, rounded down). An even window holds one key more before than behind. */
  readonly window: readonly number[];
  /** Per axis; default 1. */
  readonly stride?: readonly number[];
  /** Per axis; default 1. */
  readonly dilation?: readonly number[];
  /** Per axis; default false. */
  readonly causal?: readonly boolean[];
  /**
   * Queries and keys stand as `tokenPermute` orders them, by tiles of these sizes (and with the mask's dilation): positions are rows of
   * that order, from `start` on, padding is hidden, and tokens beside the grid stand before or behind all tiles. Default: row-major.
   */
  readonly tiles?: { readonly query: readonly number[]; readonly key: readonly number[] };
  /** Tokens beside the grid, such as those of a text: hidden (the default), or seen by all queries and seeing all keys. */
  readonly others?: 'hidden' | 'seen';
}

/**
 * Compares an integer of the query's token with one of the key's: segment, turn, image or frame numbers. `same`: equal;
 * `different`: not equal; `earlier`: the key's is smaller; `notLater`: the key's is not larger.
 */
export interface TokenRelationMask<Values> {
  readonly kind: 'tokenRelation';
  readonly relation: 'same' | 'different' | 'earlier' | 'notLater';
  /** u32 [B, N], one per query. */
  readonly queries: Values;
  /** u32 [B, P], one per key position; P is at least the largest key position + 1. */
  readonly keys: Values;
}

/** A predicate in WGSL: an expression of type bool. */
export interface CustomMask<Values> extends CustomText<Values> {
  readonly kind: 'custom';
  /** The same in plain numbers, for the f64 reference. */
  readonly reference?: (where: MaskedPair) => boolean;
}

/** Keys of a list. At most one per mask. */
export interface TokensMask<Values> {
  readonly kind: 'tokens';
  readonly list: TokenList<Values>;
}

/** Keys in blocks of a list. At most one per mask. */
export interface BlocksMask<Values> {
  readonly kind: 'blocks';
  readonly list: BlockList<Values>;
}

/** Keys that at least one part lets see; a key that several do counts once. */
export interface AnyOfMask<Values> {
  readonly kind: 'anyOf';
  readonly parts: readonly Mask<Values>[];
}

/** Keys that all parts let see. */
export interface AllOfMask<Values> {
  readonly kind: 'allOf';
  readonly parts: readonly Mask<Values>[];
}

/** Keys that the part hides. The part holds no list. */
export interface NotMask<Values> {
  readonly kind: 'not';
  readonly part: Mask<Values>;
}

/** A query and a key, in numbers. */
export interface MaskedPair {
  readonly batch: number;
  readonly head: number;
  readonly query: number;
  readonly queryPosition: number;
  readonly keyPosition: number;
}
