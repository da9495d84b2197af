import { join } from 'node:path';
import { cachedInstall } from '@saccade/cached-install';

/** The Node program of a major version; one that is not running is installed into the cache folder, once. */
export async function nodeProgram(major: number): Promise<string> {
  if (Number(process.versions.node.split('.')[0]) === major) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  return join(await cachedInstall(`${name}@${major}`), name, 'bin', 'node');
}
