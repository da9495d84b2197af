import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ModelSource, SourceMiss } from '../model-source.ts';
import { folderFiles, holdsWeights, siblingFiles } from './folder-files.ts';

/** A path on this machine. */
export const localSource: ModelSource = async ({ name, options }) => {
  const path = resolve(name.startsWith('~/') ? join(homedir(), name.slice(2)) : name);
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new SourceMiss(`${path} does not exist`);
  if (!found.isDirectory()) return siblingFiles(name, 'local', path);
  const files = await folderFiles(name, 'local', path, options.layout);
  if (!holdsWeights(files)) throw new SourceMiss(`${path} holds neither a .safetensors nor a .gguf file`);
  return files;
};
