import { SaccadeError } from '@saccade/core';
import { AdapterUnavailableError, DriverSetupError } from '@saccade/gpu-runner';
import { CommanderError } from 'commander';
import { catalog } from '../catalog.ts';
import { UsageError } from '../usage-error.ts';
import { buildProgram, type ExitCode } from './program.ts';

/** Ctrl+C reaches every process of the chain, and some pass it on: signals this close together are one. */
const oneSignalMs = 1000;

/**
 * Runs the command line and resolves to its exit code: 0 done, 1 a scenario (or something else) failed, 2 wrong use.
 * Never rejects. The first Ctrl+C stops at the next safe place, a later one at once.
 */
export async function runCli(args: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = 0;
  const context = {
    registry: catalog,
    commandLine: ['saccade-bench', ...args].join(' '),
    signal: stopSignal(),
  };
  try {
    await buildProgram(context, (result) => {
      code = result;
    }).parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    return exitCodeOf(error);
  }
}

function stopSignal(): AbortSignal {
  const abort = new AbortController();
  let stoppedAt: number | undefined;
  const stop = () => {
    const now = performance.now();
    if (stoppedAt !== undefined && now - stoppedAt > oneSignalMs) process.exit(1);
    stoppedAt ??= now;
    abort.abort(new SaccadeError('aborted', 'Stopped.'));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return abort.signal;
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError) {
    console.error(error.message);
    return 2;
  }
  console.error(explainsItself(error) ? error.message : error);
  return 1;
}

/** An error of ours says what to do; anything else is a defect, and its stack helps to find it. */
function explainsItself(error: unknown): error is Error {
  return (
    SaccadeError.isInstance(error) || AdapterUnavailableError.isInstance(error) || error instanceof DriverSetupError
  );
}
