export {
  chooseRows,
  type EvictionBudget,
  type EvictionPolicy,
  type ResolvedEvictionPolicy,
  resolveEvictionPolicy,
} from './eviction-policy.ts';
export { KvCache } from './kv-cache.ts';
export type { CacheOptions, CachePrecision, PagedOptions } from './paged/precision.ts';
export type { RowChoice } from './ragged-layout.ts';
export type { RowForm, SequencePass } from './sequence-pass.ts';
export type { StateLayer } from './state-layer.ts';
export type {
  CacheDtype,
  CacheLayer,
  CacheView,
  ContiguousSpec,
  KeptRows,
  KvCacheOptions,
  LayerCache,
  LayerCacheKind,
  LayerCacheSpec,
  LayerSequence,
  PaddedRows,
  PagedSpec,
  RowGroup,
  SavedLayer,
  StateSpec,
  WindowSpec,
} from './types.ts';
