import { stat } from 'node:fs/promises';
import { type ModelSource, requireRepository, SourceMiss } from '../model-source.ts';
import { cachedModelFolder } from './cache-folder.ts';
import { folderFiles, holdsWeights } from './folder-files.ts';

/** What an earlier run has downloaded. */
export const cacheSource: ModelSource = async (request) => {
  const folder = cachedModelFolder(requireRepository(request), request.options);
  if (!(await stat(folder).catch(() => undefined))) throw new SourceMiss(`${folder} does not exist`);
  const files = await folderFiles(request.name, 'cache', folder);
  if (!holdsWeights(files)) throw new SourceMiss(`${folder} holds no weights`);
  return files;
};
