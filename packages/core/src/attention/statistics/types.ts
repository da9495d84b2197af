import type { Tensor } from '../../tensor/tensor.ts';
import type { HeadGrouping } from '../lists.ts';
import type { WhereToLook } from '../types.ts';

/** For each query head, as the mean over the query heads of each key/value head, or as the mean over all query heads. */
export type HeadReduction = HeadGrouping | 'allHeads';

/** Consecutive queries: `[start, end)`, or the last valid ones, at most all (a device-side `queryLength` moves them along). */
export type QueryRange = { readonly start: number; readonly end: number } | { readonly last: number };

/** Probability mass that each key receives: the sum over queries. */
export interface KeyMassRequest {
  /** Default `queryHead`: f32 [B, H, M]; `kvHead`: [B, Hkv, M]; `allHeads`: [B, 1, M]. */
  readonly per?: HeadReduction;
  /** Default: all. */
  readonly queries?: QueryRange;
  /** Factor of each query: f32, broadcast to [B, H, N]. */
  readonly queryWeights?: Tensor;
  /** Factor of each key: f32, broadcast to the result. */
  readonly keyWeights?: Tensor;
}

/** Probability mass that each row gives to each of a few disjoint sets of keys. */
export interface KeySetMassRequest {
  /** Set of each key: u32 [M], [B, M] or [B, H, M]. An id of `count` or more stands in no set. */
  readonly sets: Tensor;
  /** Number of sets, 1 to 8. */
  readonly count: number;
}

/** Mean of a number that each key carries (its position, its age, ...) under each row's distribution. */
export interface ExpectationRequest {
  /** f32 [M], [B, M] or [B, H, M]. */
  readonly keyWeights: Tensor;
}

/** Sizes of the blocks over which probabilities are averaged; the last blocks may be smaller. */
export interface BlockMeanRequest {
  readonly queryBlock: number;
  readonly keyBlock: number;
  /** Whether blocks that the sequence ends in count as whole ones, filled up with zeros. Default: over what there is of them. */
  readonly padded?: boolean;
}

/** Rows of the probability matrix, written out. */
export interface ProbabilityRowsRequest {
  /** Positions among the N queries: numbers, or u32 [R] on the device. Rows at or past the valid queries are zero. */
  readonly queries: readonly number[] | Tensor;
  /** Default: all H. */
  readonly heads?: readonly number[];
  /** Columns `[start, end)`. Default: all M. */
  readonly keys?: { readonly start: number; readonly end: number };
}

/** What {@link attentionStatistics} is to compute; one field of the result for each. */
export interface StatisticsRequest {
  /** f32 [B, H | Hkv | 1, M] */
  readonly keyMass?: KeyMassRequest;
  /** f32 [B, H, N, S]; sums to 1 over sets that hold every key a row sees. */
  readonly keySetMass?: KeySetMassRequest;
  /** f32 [B, H, N]: sum over keys of probability times weight. */
  readonly expectation?: ExpectationRequest;
  /** f32 [B, H, N], in nats: -sum p ln p. */
  readonly entropy?: true;
  /** f32 [B, H, ceil(N / queryBlock), ceil(M / keyBlock)]: over the valid queries and keys of a block (or its whole area), masked ones as 0. */
  readonly blockMean?: BlockMeanRequest;
  /** f32 [B, H | heads, R, M | keys] */
  readonly probabilityRows?: ProbabilityRowsRequest;
}

/** Options of {@link attentionStatistics}; where to look is said as in the {@link attention} call of the first pass. */
export interface AttentionStatisticsOptions<Want extends StatisticsRequest> extends WhereToLook {
  /** f32 [B, H, N]: of the first pass, which normalises the probabilities. */
  readonly logSumExp: Tensor;
  readonly want: Want;
}

/** A tensor for each statistic that was asked for. */
export type AttentionStatistics<Want extends StatisticsRequest> = {
  readonly [Name in keyof Want]: undefined extends Want[Name] ? Tensor | undefined : Tensor;
};
