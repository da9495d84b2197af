import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WeightFileError } from '../../weights/weight-file-error.ts';
import { pipelineParts } from '../pipeline-layout.ts';
import type { ModelFiles, ModelSourceName, ResolveOptions } from '../types.ts';
import { openFile } from './open-file.ts';

/** The files of a folder as a model; of a pipeline also those of its subfolders. */
export async function folderFiles(
  name: string,
  source: ModelSourceName,
  folder: string,
  layout: ResolveOptions['layout'] = 'model',
): Promise<ModelFiles> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  for (const part of layout === 'pipeline' ? pipelineParts : []) {
    if (!entries.some((entry) => entry.name === part)) continue;
    const inner = await readdir(join(folder, part), { withFileTypes: true });
    names.push(...inner.filter((entry) => !entry.isDirectory()).map((entry) => `${part}/${entry.name}`));
  }
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
