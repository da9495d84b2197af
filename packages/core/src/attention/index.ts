export { attention } from './attention.ts';
export { attentionByKeySet, type KeySetPartials } from './attention-by-key-set.ts';
export { type AttentionProbabilitiesOptions, attentionProbabilities } from './attention-probabilities.ts';
export { attentionBackward } from './backward/attention-backward.ts';
export type { AttentionBackwardOptions, AttentionGradients } from './backward/types.ts';
export { type BlockListOptions, blockListFromMask } from './block-list-from-mask.ts';
export {
  type CombinedKeySets,
  type CombineKeySetsOptions,
  combineKeySets,
  type SetWeightNames,
} from './combine-key-sets.ts';
export type { AttentionCost } from './cost.ts';
export { attentionKeyRows } from './cost.ts';
export type { CustomNames, CustomText } from './custom-text.ts';
export type { GivenProbabilities } from './given-probabilities.ts';
export { type KeySets, keySets } from './key-sets.ts';
export type { BlockList, HeadGrouping, TokenList } from './lists.ts';
export type {
  AllOfMask,
  AnyOfMask,
  BlockedMask,
  BlocksMask,
  CausalMask,
  CustomMask,
  KeyRangeMask,
  Mask,
  MaskedPair,
  NeighbourhoodMask,
  NotMask,
  PrefixMask,
  SlidingWindowMask,
  StridedMask,
  TokenGrid,
  TokenRelationMask,
  TokensMask,
} from './mask.ts';
export { mergeAttention } from './merge.ts';
export {
  type AxisTiles,
  type NeighbourhoodAxis,
  type NeighbourhoodBlocks,
  type NeighbourhoodBlocksOptions,
  neighbourhoodAxisTiles,
  neighbourhoodBlocks,
  neighbourhoodWindow,
} from './neighbourhood-blocks.ts';
export type { AttentionOrder } from './order.ts';
export type { NumberFormat, NumberGrouping, ResolvedNumberFormat } from './paged/number-format.ts';
export type { PageFormat, PageSide, PageSizes } from './paged/page-format.ts';
export type { PageStore } from './paged/paged-rows.ts';
export { type KeyRows, PagedRows } from './paged/paged-rows.ts';
export { denseRows } from './paged/unpack-rows.ts';
export { readLogSumExp } from './read-log-sum-exp.ts';
export {
  type AlibiModifier,
  alibiSlopes,
  type BiasModifier,
  type CustomModifier,
  type RelativePositionModifier,
  type ScoreModifier,
  type SinksModifier,
  type SoftCapModifier,
} from './score-modifiers.ts';
export { attentionStatistics } from './statistics/attention-statistics.ts';
export { type AttentionStatisticsCost, attentionStatisticsCost } from './statistics/cost.ts';
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
export { type BlockChoice, type BlockRange, type TopBlocksOptions, topBlocks } from './top-blocks.ts';
export { type TopKeys, type TopKeysOptions, topKeys } from './top-keys.ts';
export type { KeyMultipliers } from './trust.ts';
export type {
  AttentionOptions,
  AttentionPartial,
  AttentionPlanOverride,
  AttentionResult,
  KeyAccess,
  LaneLayout,
  WhereToLook,
} from './types.ts';
export { type WeightedValuesOptions, weightedValues } from './weighted-values.ts';
