import { blobSource } from '../../weights/blob-source.ts';
import { WeightFileError } from '../../weights/weight-file-error.ts';
import type { SourceRequest } from '../model-source.ts';
import type { ModelFiles, ModelSourceName } from '../types.ts';
import type { BrowserCache, CachedModel } from './browser-cache.ts';

/** The address under which the list of a model's files is stored. */
export function listUrl({ hubUrl, repository, revision, options }: SourceRequest): string {
  const layout = options.layout === 'pipeline' ? '?layout=pipeline' : '';
  const weights = options.weights === undefined ? layout : `?weights=${encodeURIComponent(options.weights)}`;
  return `${hubUrl}/${repository}/saccade/${encodeURIComponent(revision)}.json${weights}`;
}

/** A stored model. */
export function cachedFiles(
  { name, hubUrl, repository, options }: SourceRequest,
  source: ModelSourceName,
  cache: BrowserCache,
  { commit, files }: CachedModel,
): ModelFiles {
  return {
    name,
    source,
    location: `${hubUrl}/${repository}/tree/${commit}`,
    names: files.map(({ path }) => path).sort(),
    ...(options.weights === undefined ? {} : { weights: options.weights }),
    async open(path) {
      const file = files.find((candidate) => candidate.path === path);
      if (!file) throw new WeightFileError('not-found', `${repository} has no ${path}.`);
      const blob = await cache.blob(file.url, file.size);
      if (!blob)
        throw new WeightFileError('not-found', `The browser has removed ${path} from its cache; load the model again.`);
      return blobSource(blob, path);
    },
  };
}
