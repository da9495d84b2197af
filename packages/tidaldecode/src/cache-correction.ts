import { ArgumentError, type KvCache, MethodRun, type ModelHandle } from '@saccade/core';

const chunkTokens = 512;

/**
 * Cache correction (paper, section 3.3): runs the last tokens once more in a dense chunked prefill against the cache and
 * overwrites their keys and values. Afterwards the cache equals the dense cache of the same ids.
 *
 * @param ids Ids of all tokens in the cache.
 * @param lastTokens How many of them, counted from the end, were decoded sparsely.
 */
export function correctCache(model: ModelHandle, cache: KvCache, ids: readonly number[], lastTokens: number): void {
  if (ids.length !== cache.length)
    throw new ArgumentError('ids', `${ids.length} ids`, `as many as the cache holds (${cache.length})`);
  if (!(Number.isInteger(lastTokens) && lastTokens >= 0 && lastTokens <= cache.length)) {
    throw new ArgumentError('lastTokens', lastTokens, `an integer from 0 to ${cache.length}`);
  }
  const run = MethodRun.dense(model);
  const first = cache.length - lastTokens;
  cache.truncate(first);
  try {
    for (let start = first; start < ids.length; start += chunkTokens) {
      model.forward(ids.slice(start, start + chunkTokens), { cache, run, logits: 'none' }).hidden.dispose();
    }
  } finally {
    run.dispose();
  }
}
