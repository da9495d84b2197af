export { KvCache } from './kv-cache.ts';
export type { SequencePass } from './sequence-pass.ts';
export type { StateLayer } from './state-layer.ts';
export type {
  CacheDtype,
  CacheView,
  ContiguousSpec,
  KvCacheOptions,
  LayerCache,
  LayerCacheKind,
  LayerCacheSpec,
  StateSpec,
  WindowSpec,
} from './types.ts';
