import { stat } from 'node:fs/promises';
import { readJson } from '../../weights/json-file.ts';
import { safetensorsIndexName, shardNames } from '../../weights/safetensors/sharded-safetensors.ts';
import { type ModelSource, requireRepository, SourceMiss, type SourceRequest } from '../model-source.ts';
import { lackingPipelineFile } from '../pipeline-layout.ts';
import type { ModelFiles } from '../types.ts';
import { cachedModelFolder } from './cache-folder.ts';
import { folderFiles, holdsWeights } from './folder-files.ts';
import { HubCacheEntry } from './hub-cache.ts';
import { hubCacheFolder } from './hub-environment.ts';

/** What was downloaded before: Hugging Face's cache, which its Python library shares, then our own. */
export const cacheSource: ModelSource = async (request) => {
  const repository = requireRepository(request);
  const snapshot = await fromHubCache(request, repository);
  if (typeof snapshot !== 'string') return snapshot;
  const { options, revision } = request;
  const folder = cachedModelFolder(repository, options);
  if (!(await stat(folder).catch(() => undefined))) throw new SourceMiss(`${snapshot}; ${folder} does not exist`);
  // Packages have no revisions.
  if (revision !== 'main') throw new SourceMiss(`${snapshot}; ${folder} has no revisions`);
  const files = await folderFiles(request.name, 'cache', folder, options.layout);
  if (!holdsWeights(files)) throw new SourceMiss(`${snapshot}; ${folder} holds no weights`);
  return files;
};

/** The model in Hugging Face's cache, or why it is not there. */
async function fromHubCache(request: SourceRequest, repository: string): Promise<ModelFiles | string> {
  const { options, revision } = request;
  const entry = new HubCacheEntry(hubCacheFolder(options), repository);
  const commit = await entry.commitOf(revision);
  if (commit === undefined) return `${entry.folder} has no revision ${revision}`;
  const folder = entry.snapshot(commit);
  if (!(await stat(folder).catch(() => undefined))) return `${folder} does not exist`;
  const files = await folderFiles(request.name, 'cache', folder, options.layout);
  const lacking =
    options.layout === 'pipeline' ? await lackingPipelineFile(files) : await lackingFile(files, options.weights);
  if (lacking) return `${folder} has no ${lacking}`;
  return options.weights === undefined ? files : { ...files, weights: options.weights };
}

/** A snapshot may hold only some files of a model. */
async function lackingFile(files: ModelFiles, weights: string | undefined): Promise<string | undefined> {
  const { names } = files;
  const whole = weights ?? 'model.safetensors';
  if (!whole.endsWith('.gguf') && !names.includes('config.json')) return 'config.json';
  if (names.includes(whole)) return undefined;
  if (weights !== undefined || !names.includes(safetensorsIndexName)) return whole;
  const shards = shardNames(await readJson(files, safetensorsIndexName));
  return shards.find((name) => !names.includes(name));
}
