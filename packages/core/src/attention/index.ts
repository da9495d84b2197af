export { attention } from './attention.ts';
export { readLogSumExp } from './read-log-sum-exp.ts';
export { type TopKeys, type TopKeysOptions, topKeys } from './top-keys.ts';
export type {
  AttentionOptions,
  AttentionPlanOverride,
  AttentionResult,
  HeadGrouping,
  KeyAccess,
  LaneLayout,
  TokenList,
} from './types.ts';
