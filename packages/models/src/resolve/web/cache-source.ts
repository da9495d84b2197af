import { type ModelSource, requireRepository, SourceMiss } from '../model-source.ts';
import { BrowserCache } from './browser-cache.ts';
import { cachedFiles, listUrl } from './cached-files.ts';

/** What this page has downloaded before. */
export const cacheSource: ModelSource = async (request) => {
  requireRepository(request);
  const cache = await BrowserCache.open();
  if (!cache) throw new SourceMiss('there is no Cache API here');
  const model = await cache.model(listUrl(request));
  if (!model) throw new SourceMiss('the cache of this site does not hold it');
  for (const { url, size, path } of model.files) {
    if (!(await cache.blob(url, size))) throw new SourceMiss(`the cache of this site holds no ${path}`);
  }
  return cachedFiles(request, 'cache', cache, model);
};
