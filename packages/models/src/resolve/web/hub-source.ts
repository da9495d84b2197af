import type { ByteSource } from '../../weights/types.ts';
import { WeightFileError } from '../../weights/weight-file-error.ts';
import { HubError } from '../hub/hub-error.ts';
import { HubProgress } from '../hub/hub-progress.ts';
import { type HubFile, HubRepository } from '../hub/hub-repository.ts';
import { type TakeFile, takeModelFiles } from '../hub/model-files.ts';
import { takePipelineFiles } from '../hub/pipeline-files.ts';
import { type ModelSource, requireRepository, type SourceRequest } from '../model-source.ts';
import type { ModelFiles } from '../types.ts';
import { BrowserCache, type CachedModel } from './browser-cache.ts';
import { cachedFiles, listUrl } from './cached-files.ts';

/** Downloads a model into the browser's Cache API; where there is none, reads it from the hub range by range. */
export const hubSource: ModelSource = async (request) => {
  const { options, hubUrl, hubTimeout: timeout, revision } = request;
  const { signal, token } = options;
  if (options.offline)
    throw new HubError('offline', 'the network is not used (option offline); load the model once without it');
  const access = {
    repository: requireRepository(request),
    revision,
    hubUrl,
    token: token || undefined,
    timeout,
    signal,
  };
  const repository = await HubRepository.find(access);
  const cache = await BrowserCache.open();
  return cache ? download(request, repository, cache) : readRanges(request, repository);
};

async function download(request: SourceRequest, repository: HubRepository, cache: BrowserCache): Promise<ModelFiles> {
  const { onProgress } = request.options;
  const files: CachedModel['files'][number][] = [];
  const progress = new HubProgress(onProgress);
  await takeFiles(request, repository, progress, async (file) => {
    const url = repository.url(file);
    const stored = await cache.blob(url, file.size);
    if (stored) progress.skip(file);
    const onBytes = (count: number) => progress.advance(file, count);
    const blob = stored ?? (await cache.put(url, file, await repository.open(file), onBytes));
    files.push({ path: file.path, size: file.size, url });
    return blob;
  });
  const model = { commit: repository.commit, files };
  await cache.setModel(listUrl(request), model);
  return cachedFiles(request, 'hub', cache, model);
}

async function readRanges(request: SourceRequest, repository: HubRepository): Promise<ModelFiles> {
  const files = new Map<string, HubFile>();
  const { weights } = request.options;
  await takeFiles(request, repository, new HubProgress(), async (file) => {
    files.set(file.path, file);
    return { text: async () => (await repository.open(file)).text() };
  });
  return {
    name: request.name,
    source: 'hub',
    location: `${request.hubUrl}/${request.repository}`,
    names: [...files.keys()].sort(),
    ...(weights === undefined ? {} : { weights }),
    async open(name) {
      const file = files.get(name);
      if (!file) throw new WeightFileError('not-found', `${request.repository} has no ${name}.`);
      return rangeSource(repository, file);
    },
  };
}

function takeFiles(
  { options: { layout, weights } }: SourceRequest,
  repository: HubRepository,
  progress: HubProgress,
  take: TakeFile,
): Promise<void> {
  return layout === 'pipeline'
    ? takePipelineFiles(repository, progress, take)
    : takeModelFiles(repository, weights, progress, take);
}

function rangeSource(repository: HubRepository, file: HubFile): ByteSource {
  return {
    name: file.path,
    size: file.size,
    async read(offset, length) {
      if (length === 0) return new Uint8Array(0);
      const response = await repository.open(file, offset, offset + length);
      const bytes = new Uint8Array(await response.arrayBuffer());
      // A server that knows no ranges gives everything.
      const part = response.status === 206 ? bytes : bytes.slice(offset, offset + length);
      if (part.byteLength !== length) {
        throw new HubError(
          'interrupted',
          `${file.path}: ${part.byteLength} bytes arrived instead of ${length}; try again.`,
        );
      }
      return part;
    },
    close: async () => undefined,
  };
}
