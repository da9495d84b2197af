export { attention } from './attention.ts';
export { attentionKeyRows } from './cost.ts';
export { mergeAttention } from './merge.ts';
export { readLogSumExp } from './read-log-sum-exp.ts';
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
} from './types.ts';
