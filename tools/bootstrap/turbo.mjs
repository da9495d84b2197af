import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from './workspace.mjs';

/**
 * Runs turbo with what its hashes need to know: the Node version.
 *
 * @param {readonly string[]} args
 * @returns {Promise<number>} its exit code
 */
export function turbo(args) {
  return run(process.execPath, [join('node_modules', 'turbo', 'bin', 'turbo'), ...args], {
    // Turbo starts each task with the pnpm that it finds here.
    PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`,
    SACCADE_NODE_VERSION: process.version,
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await turbo(process.argv.slice(2));
