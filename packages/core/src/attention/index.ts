export { attention } from './attention.ts';
export { attentionKeyRows } from './cost.ts';
export { mergeAttention } from './merge.ts';
export { readLogSumExp } from './read-log-sum-exp.ts';
export { attentionStatistics } from './statistics/attention-statistics.ts';
export type {
  AttentionStatistics,
  AttentionStatisticsOptions,
  BlockMeanRequest,
  ExpectationRequest,
  HeadReduction,
  KeyMassRequest,
  KeySetMassRequest,
  ProbabilityRowsRequest,
  QueryRange,
  StatisticsRequest,
} from './statistics/types.ts';
export { type TopKeys, type TopKeysOptions, topKeys } from './top-keys.ts';
export type {
  AttentionOptions,
  AttentionPartial,
  AttentionPlanOverride,
  AttentionResult,
  HeadGrouping,
  KeyAccess,
  LaneLayout,
  TokenList,
  WhereToLook,
} from './types.ts';
