import type { KvCache, ModelFacts } from '@saccade/core';
import type { Memory } from '../result-file/types.ts';

/** Bytes of a cache, those of layers with a window apart where a model has both kinds. */
export function cacheMemory(cache: KvCache | undefined, { layerKinds }: ModelFacts): Memory {
  if (!cache) return { cacheBytes: 0 };
  const windows = layerKinds.flatMap((kind, layer) => (kind === 'window' ? [layer] : []));
  const windowCacheBytes = windows.reduce((sum, layer) => sum + cache.layer(layer).bytes, 0);
  return { cacheBytes: cache.bytes, ...(windows.length > 0 ? { windowCacheBytes } : {}) };
}
