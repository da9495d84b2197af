import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { gpuEnvironment } from './gpu-environment.ts';
import { sourceConditionFlags, typeScriptFlags } from './sibling.ts';
import { dawnWarningFilter } from './stderr-filter.ts';

/** How {@link runWithGpu} starts its command. */
export interface RunOptions {
  readonly cwd?: string;
  /** Variables that go before those of the GPU. */
  readonly env?: Readonly<Record<string, string>>;
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a command in an environment in which Dawn finds the chosen adapter: input and output are the caller's, signals are
 * passed on, Dawn's harmless warnings are left out of stderr.
 *
 * @returns the command's exit code, or 128 + the signal's number.
 * @throws AdapterUnavailableError where there is no adapter.
 */
export async function runWithGpu(command: string, args: readonly string[], options: RunOptions = {}): Promise<number> {
  const env = { ...process.env, ...(await gpuEnvironment()), ...options.env };
  const child = spawn(command, args, { cwd: options.cwd, env, stdio: ['inherit', 'inherit', 'pipe'] });
  const filtered = child.stderr.pipe(dawnWarningFilter());
  filtered.pipe(process.stderr, { end: false });
  const forward = (signal: NodeJS.Signals) => {
    // A terminal interrupts the whole group, the child included; twice would be taken for impatience.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of forwarded) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    });
  } finally {
    for (const signal of forwarded) process.off(signal, forward);
  }
}

/**
 * Runs a TypeScript or JavaScript file with Node, source maps included, in an environment in which Dawn finds the chosen
 * adapter.
 *
 * @returns the script's exit code, or 128 + the signal's number.
 * @throws AdapterUnavailableError where there is no adapter.
 */
export function runScriptWithGpu(file: string, args: readonly string[], options: RunOptions = {}): Promise<number> {
  const flags = ['--enable-source-maps', ...sourceConditionFlags(), ...typeScriptFlags()];
  return runWithGpu(process.execPath, [...flags, file, ...args], options);
}
