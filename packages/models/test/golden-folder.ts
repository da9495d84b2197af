import { fileURLToPath } from 'node:url';
import { resolveModel } from '../src/resolve/resolve-model.ts';
import type { ModelFiles } from '../src/resolve/types.ts';

/** Path of a file or folder under `test/golden`. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`./golden/${name}`, import.meta.url));
}

/** A golden checkpoint as the resolver finds it. */
export function goldenModel(name: string): Promise<ModelFiles> {
  return resolveModel(goldenPath(name), { sources: ['local'] });
}
