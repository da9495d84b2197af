import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WeightFileError } from '../../weights/weight-file-error.ts';
import type { ModelFiles, ModelSourceName } from '../types.ts';
import { openFile } from './open-file.ts';

/** The files of a folder as a model. */
export async function folderFiles(name: string, source: ModelSourceName, folder: string): Promise<ModelFiles> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  return {
    name,
    source,
    location: folder,
    names: names.sort(),
    async open(file) {
      if (!names.includes(file)) throw new WeightFileError('not-found', `${folder} has no ${file}.`);
      return openFile(join(folder, file));
    },
  };
}

/** A weight file as a model, with what lies beside it: configuration and tokenizer. */
export async function siblingFiles(name: string, source: ModelSourceName, file: string): Promise<ModelFiles> {
  const folder = await folderFiles(name, source, dirname(file));
  return { ...folder, location: file, weights: basename(file) };
}

/** Whether a folder holds weights. */
export function holdsWeights(files: ModelFiles): boolean {
  return files.names.some((name) => /\.(gguf|safetensors)$/.test(name));
}
