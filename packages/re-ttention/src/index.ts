export type { CachedStatistics } from './kernels/cache-statistics.ts';
export { type ResolvedReTtentionOptions, type ReTtentionOptions, reTtentionOptions } from './options.ts';
export { cogVideoX, hunyuanDit, pixArt } from './published.ts';
export { reTtention } from './re-ttention.ts';
export { attentionShare, type StepKind, stepKind } from './schedule.ts';
export { type CacheKey, type LayerCache, ReTtentionState } from './state.ts';
export {
  type FramewiseMask,
  framewiseWindowMask,
  keptKeys,
  type StaticMask,
  type WindowMask,
  windowMask,
} from './static-mask.ts';
