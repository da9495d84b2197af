import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const stampFile = join('node_modules', '.saccade-setup.json');

/**
 * What the installed dependencies and the build depend on.
 *
 * @param {string} root
 */
export function currentStamp(root) {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'])
    hash.update(readFileSync(join(root, file)));
  return JSON.stringify({
    node: process.version,
    platform: process.platform,
    arch: process.arch,
    lock: hash.digest('hex'),
  });
}

/**
 * Whether a set-up in the same circumstances has been completed.
 *
 * @param {string} root
 */
export function isSetUp(root) {
  const file = join(root, stampFile);
  return existsSync(file) && readFileSync(file, 'utf8') === currentStamp(root);
}

/**
 * Records that the set-up is complete.
 *
 * @param {string} root
 */
export function markSetUp(root) {
  writeFileSync(join(root, stampFile), currentStamp(root));
}
