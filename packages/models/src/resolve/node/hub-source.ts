import { readFile, stat } from 'node:fs/promises';
import { HubError } from '../hub/hub-error.ts';
import { HubProgress } from '../hub/hub-progress.ts';
import { HubRepository } from '../hub/hub-repository.ts';
import { type TakeFile, takeModelFiles } from '../hub/model-files.ts';
import { takePipelineFiles } from '../hub/pipeline-files.ts';
import { type ModelSource, requireRepository } from '../model-source.ts';
import { downloadBlob } from './download-blob.ts';
import { folderFiles } from './folder-files.ts';
import { HubCacheEntry } from './hub-cache.ts';
import { hubCacheFolder, hubIsOffline, hubToken } from './hub-environment.ts';
import { assertUsable } from './usable.ts';

/** How much longer than for an answer one waits while an answer is under way. */
const bodyPatience = 6;

/** Downloads a model from the Hugging Face hub into its cache, or what the cache lacks of it. */
export const hubSource: ModelSource = async (request) => {
  const name = requireRepository(request);
  const { options, hubUrl, hubTimeout, revision } = request;
  const { signal, onProgress, weights } = options;
  if (hubIsOffline(options)) {
    throw new HubError(
      'offline',
      'the network is not used (HF_HUB_OFFLINE or the option offline); download the model once without it',
    );
  }
  const token = await hubToken(options);
  const repository = await HubRepository.find({
    repository: name,
    revision,
    hubUrl,
    token,
    timeout: hubTimeout,
    signal,
  });
  const cache = new HubCacheEntry(hubCacheFolder(options), name);
  const progress = new HubProgress(onProgress);
  const take: TakeFile = async (file) => {
    const path = cache.blob(file.etag);
    if (await stat(path).catch(() => undefined)) progress.skip(file);
    else {
      const onBytes = (count: number) => progress.advance(file, count);
      await downloadBlob({ repository, file, path, silence: bodyPatience * hubTimeout, signal, onBytes });
    }
    await cache.addToSnapshot(repository.commit, file.path, file.etag);
    return { text: () => readFile(path, 'utf8') };
  };
  const pipeline = options.layout === 'pipeline';
  await (pipeline
    ? takePipelineFiles(repository, progress, take)
    : takeModelFiles(repository, weights, progress, take));
  const folder = await folderFiles(request.name, 'hub', cache.snapshot(repository.commit), options.layout);
  const files = weights === undefined ? folder : { ...folder, weights };
  if (!pipeline) await assertUsable(files);
  // Only now, so that the revision never stands for half a model.
  await cache.setRevision(revision, repository.commit);
  return files;
};
