import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '@saccade/gpu-runner';

/**
 * The `node_modules` of a folder of the cache that holds one package, installed once without its scripts.
 *
 * @param specifier `name@version`
 * @param overrides versions of packages that it depends on
 * @throws Error with what npm printed
 */
export async function cachedInstall(
  specifier: string,
  overrides: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = join(cacheFolder(), 'tools', specifier.replaceAll('/', '_'));
  const done = join(folder, 'installed');
  if (!existsSync(done)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, overrides }));
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await promisify(execFile)('npm', ['install', ...flags, specifier], { cwd: folder, timeout: 600_000 });
    writeFileSync(done, '');
  }
  return join(folder, 'node_modules');
}
