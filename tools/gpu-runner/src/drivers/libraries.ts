import { lstatSync, readdirSync } from 'node:fs';
import { delimiter, dirname, join, sep } from 'node:path';
import { DriverSetupError } from '../errors.ts';
import { capture } from './command.ts';

/**
 * Follows shared libraries through what they need and returns those that stand under `root` (name to path); the others
 * are the machine's own.
 *
 * @param root where packages were unpacked
 * @param names file names of the libraries to start from
 * @throws DriverSetupError naming the libraries that neither `root` nor the machine has.
 */
export async function neededLibraries(root: string, names: readonly string[]): Promise<Map<string, string>> {
  const places = sharedLibraries(root);
  const search = [...new Set([...places.values()].map((path) => dirname(path)))].join(delimiter);
  const found = new Map<string, string>();
  const missing = new Set<string>();
  for (const name of names) {
    const path = places.get(name);
    if (!path) throw new DriverSetupError(`the unpacked packages hold no ${name}`);
    found.set(name, path);
    for (const line of parseLdd(await capture('ldd', [path], { env: { LD_LIBRARY_PATH: search } }))) {
      if (line.path === undefined) missing.add(line.name);
      else if (line.path.startsWith(root + sep)) found.set(line.name, line.path);
    }
  }
  if (missing.size > 0) throw new DriverSetupError(`neither apt nor the machine has ${[...missing].join(', ')}`);
  return found;
}

/** A library that another needs, and where the loader found it. */
export interface NeededLibrary {
  readonly name: string;
  readonly path?: string;
}

/** Parses the output of `ldd`. */
export function parseLdd(output: string): NeededLibrary[] {
  return output.split('\n').flatMap((line) => {
    const match = line.trim().match(/^(\S+) => (?:(not found)|(\S+) \(0x[0-9a-f]+\))$/);
    const [, name, , path] = match ?? [];
    if (name === undefined) return [];
    return [path === undefined ? { name } : { name, path }];
  });
}

/** Every file or link under `root` that is named like a shared library. */
function sharedLibraries(root: string): Map<string, string> {
  const result = new Map<string, string>();
  for (const relative of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const path = join(root, relative);
    const name = relative.slice(relative.lastIndexOf(sep) + 1);
    if (/\.so(?:\.[\d.]+)?$/.test(name) && !lstatSync(path).isDirectory() && !result.has(name)) result.set(name, path);
  }
  return result;
}
