import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from './workspace.mjs';

/** Tasks whose cached results depend on the GPU; turbo.json puts the fingerprint into their hash. */
const gpuTasks = ['docs'];

/**
 * Runs turbo with what its hashes need to know: the Node version and, for tasks that use the GPU, adapter and driver.
 *
 * @param {readonly string[]} args
 * @returns {Promise<number>} its exit code
 */
export function turbo(args) {
  const usesGpu = args.some((argument) => gpuTasks.includes(argument));
  return run(process.execPath, [join('node_modules', 'turbo', 'bin', 'turbo'), ...args], {
    // Turbo starts each task with the pnpm that it finds here.
    PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`,
    SACCADE_NODE_VERSION: process.version,
    ...(usesGpu && { SACCADE_GPU_FINGERPRINT: gpuFingerprint() }),
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  });
}

function gpuFingerprint() {
  const runner = join(root, 'tools', 'gpu-runner', 'bin', 'saccade-gpu.mjs');
  const { stdout, status } = spawnSync(process.execPath, [runner, 'info', '--json'], { encoding: 'utf8' });
  return status === 0 ? JSON.parse(stdout).fingerprint : 'no adapter';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await turbo(process.argv.slice(2));
