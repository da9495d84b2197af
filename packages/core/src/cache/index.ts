export { KvCache } from './kv-cache.ts';
export type { CacheDtype, KvCacheOptions, LayerCache } from './types.ts';
