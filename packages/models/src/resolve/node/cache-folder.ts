import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ModelFiles, ModelSourceName, ResolveOptions } from '../types.ts';
import { folderFiles } from './folder-files.ts';
import { assertUsable } from './usable.ts';

/** Folder of the models that Python packages hold; what comes from the hub is in Hugging Face's cache. */
export function modelsFolder({ cacheFolder }: ResolveOptions): string {
  if (cacheFolder !== undefined) return resolve(cacheFolder);
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'saccade', 'models');
}

/** Folder of one cached model; it exists only once the model is complete. */
export function cachedModelFolder(repository: string, options: ResolveOptions): string {
  return join(modelsFolder(options), repository.replace('/', '--'));
}

/**
 * Puts a model into the cache: it is fetched into a temporary folder, checked, and renamed when complete, so that neither an
 * interrupted download nor a second process can leave half a model.
 *
 * @param fetchInto Writes the model's files into the folder that it is given.
 */
export async function installInCache(
  request: { readonly name: string; readonly repository: string; readonly options: ResolveOptions },
  source: ModelSourceName,
  fetchInto: (folder: string) => Promise<void>,
): Promise<ModelFiles> {
  const folder = cachedModelFolder(request.repository, request.options);
  const parent = modelsFolder(request.options);
  await mkdir(parent, { recursive: true });
  const temporary = await mkdtemp(join(parent, '.partial-'));
  try {
    await fetchInto(temporary);
    await assertUsable(await folderFiles(request.name, source, temporary));
    await rename(temporary, folder).catch(async (error: unknown) => {
      // Another process was first; its model is as good.
      if (!(await stat(folder).catch(() => undefined))) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return folderFiles(request.name, source, folder);
}
