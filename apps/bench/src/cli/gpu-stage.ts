import { fileURLToPath } from 'node:url';
import { runWithGpu } from '@saccade/gpu-runner';
import type { ExitCode } from './program.ts';

/** Set in the process that was started with a driver in its environment. */
const stageVariable = 'SACCADE_BENCH_ON_GPU';

/**
 * Runs `work` in a process whose environment leads to an adapter. The driver's libraries must be known when a process
 * starts, so this same command line is started once more with them; that process runs `work`. Called only after the
 * command line was found to be right, so that wrong use needs no GPU.
 *
 * @param adapter what `--adapter` says; undefined takes the best.
 * @throws AdapterUnavailableError where there is no adapter.
 */
export async function onGpu(adapter: string | undefined, work: () => Promise<ExitCode>): Promise<ExitCode> {
  if (process.env[stageVariable] === '1') return await work();
  if (adapter !== undefined) process.env.SACCADE_ADAPTER = adapter;
  const main = fileURLToPath(new URL('../main.ts', import.meta.url));
  const code = await runWithGpu(process.execPath, [...process.execArgv, main, ...process.argv.slice(2)], {
    env: { [stageVariable]: '1' },
  });
  return code === 0 || code === 2 ? code : 1;
}
