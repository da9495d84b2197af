import type { Tensor } from '../tensor/tensor.ts';
import type { GivenProbabilities } from './given-probabilities.ts';
import type { BlockList, TokenList } from './lists.ts';
import type { Mask } from './mask.ts';
import type { AttentionOrder } from './order.ts';
import type { ScoreModifier } from './score-modifiers.ts';
import type { KeyMultipliers } from './trust.ts';

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Factor on q k^T. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Query i stands at key position offset + i and sees keys up to there. Default false. */
  readonly causal?: boolean;
  /**
   * Position of the first query, for all or u32 [B] on the device; by default key length - query length, so that the last
   * query stands at the last key (of each head, where lengths differ between heads).
   */
  readonly queryOffset?: number | Tensor;
  /** Keys at positions > query position - slidingWindow are seen (1 = only the query's own position and later). */
  readonly slidingWindow?: number;
  /** Valid keys: a number for all, or u32 [B] or [B, Hkv] on the device. Default: all M. */
  readonly keyLength?: number | Tensor;
  /** With a `keyLength` on the device: the most that it holds, so that less is launched; longer lengths count as this. Default M. */
  readonly keyBound?: number;
  /**
   * Sequence position of the key in each stored row, u32 [B, Hkv, M], in any order: after an eviction rows no longer stand
   * at their position. Causality and windows compare positions, and then need `queryOffset`. Default: the row itself.
   */
  readonly keyPositions?: Tensor;
  /**
   * Ragged storage, u32 [B, Hkv]: k and v are [rows, D] with all heads of all batch entries one behind the other, head
   * (b, hkv) in the `keyLength[b, hkv]` rows from `keyStarts[b, hkv]` on. Needs a `keyLength` [B, Hkv]; `keyPositions` is
   * [rows] then, and lists count rows from the head's start.
   */
  readonly keyStarts?: Tensor;
  /** Valid queries, a number for all or u32 [B] on the device; rows past it give zeros and an empty log-sum-exp. Default: all N. */
  readonly queryLength?: number | Tensor;
  /** Attend to these keys only. */
  readonly tokens?: TokenList;
  /** Attend to these blocks of keys only. */
  readonly blocks?: BlockList;
  /** Attend to the keys that this lets see only, of those that the other options do. Positions as for `causal`. */
  readonly mask?: Mask;
  /**
   * Where the tensors are not in the order of positions, such as tokens of a grid that are looked at tile by tile: tables of rows, in place of copies.
   * Not with `keyPositions`, `keyStarts`, `keyMultipliers`, `normalizer`, `givenProbabilities` and keys in pages.
   */
  readonly order?: AttentionOrder;
  /** What is done to scaled scores before the softmax, in this order. */
  readonly scoreModifiers?: readonly ScoreModifier[];
  /** Factors on the probabilities of stored keys. */
  readonly keyMultipliers?: KeyMultipliers;
  /**
   * f32 [B, H, N]: log-sum-exps that rows are normalised by, in place of their own: output = sum of exp(score - normalizer) v.
   * Rows where it holds the sentinel of an empty row give zeros. The returned log-sum-exp stays that of the call's own keys.
   */
  readonly normalizer?: Tensor;
  /** Rows whose probabilities come from outside. Their log-sum-exp and row maximum stay those of the scores. */
  readonly givenProbabilities?: GivenProbabilities;
  readonly returnLogSumExp?: boolean;
  readonly returnRowMaximum?: boolean;
  /**
   * For the counting proof: u32 [1], to which the kernel adds every (workgroup, key) row that it loads. Slower; tests only.
   */
  readonly keyRowCounter?: Tensor;
  /** Replaces the defaults of this class of adapter. For measurements and tests. */
  readonly plan?: AttentionPlanOverride;
}

/** The options of {@link attention} that decide the probabilities. */
export type WhereToLook = Pick<
  AttentionOptions,
  | 'scale'
  | 'causal'
  | 'queryOffset'
  | 'slidingWindow'
  | 'keyLength'
  | 'keyBound'
  | 'keyPositions'
  | 'keyStarts'
  | 'queryLength'
  | 'tokens'
  | 'blocks'
  | 'mask'
  | 'scoreModifiers'
  | 'keyMultipliers'
  | 'normalizer'
>;

/** What {@link attention} returns. */
export interface AttentionResult {
  /** f32 [B, H, N, D], a transposed view of [B, N, H, D]: `output.transpose(0, 2, 1, 3).reshape([B * N, H * D])` copies nothing. */
  readonly output: Tensor;
  /** f32 [B, H, N]: natural log of the sum of exp(score). Empty rows hold a sentinel: read it with {@link readLogSumExp}. */
  readonly logSumExp?: Tensor;
  /** f32 [B, H, N]: largest score of the row (scaled). Empty rows hold the same sentinel. */
  readonly rowMaximum?: Tensor;
}

/** Attention over some of the keys, with what merging it with others needs. */
export interface AttentionPartial {
  /** f32 [B, H, N, D] */
  readonly output: Tensor;
  /** f32 [B, H, N] */
  readonly logSumExp: Tensor;
}

/**
 * How a head's work is laid over invocations.
 * `rows`: an invocation owns a query row (prefill). `features`: the invocations of a workgroup share the rows of one
 * key/value group and stand along the head dimension, so that keys and values are loaded once per group (decode).
 */
export type LaneLayout = 'rows' | 'features';

/**
 * How keys reach the invocations. `staged`: through workgroup memory, which every device has. `subgroup`: straight into
 * registers. In the layout `features` sums are then made by shuffles in a subgroup of exactly eight, the vector width of software
 * adapters; in the layout `rows` broadcasts hand a loaded key to all rows, in subgroups of eight or more.
 */
export type KeyAccess = 'staged' | 'subgroup';

/** Tuning parameters of one launch; everything left out keeps its default. */
export interface AttentionPlanOverride {
  readonly layout?: LaneLayout;
  readonly access?: KeyAccess;
  /** Query rows of a workgroup: 1 to 8 in the layout `features`; in `rows` with access `subgroup` rounded up to whole workgroups. */
  readonly sharedRows?: number;
  /** Parts that the keys are split into; 1 writes the output directly. */
  readonly parts?: number;
}
