import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { mustRun } from './run.ts';

/**
 * Makes a project that depends on packed packages, as a user's does, and installs it with npm.
 *
 * @param folder outside the workspace, so that nothing resolves into it
 * @param packages version or `file:` address by name
 * @param files further files of the project, by path
 */
export async function makeConsumer(
  folder: string,
  packages: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const all = {
    'package.json': JSON.stringify({ name: 'consumer', private: true, type: 'module', dependencies: packages }),
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  await mustRun('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'], folder);
}
