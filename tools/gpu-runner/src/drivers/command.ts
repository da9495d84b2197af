import { spawn } from 'node:child_process';
import { DriverSetupError } from '../errors.ts';

/** Options of {@link capture}. */
export interface CaptureOptions {
  readonly cwd?: string;
  /** Variables beside the present environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs a command without input and returns its stdout.
 *
 * @throws DriverSetupError with the last lines of its stderr where it cannot be started or fails.
 */
export function capture(command: string, args: readonly string[], options: CaptureOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new DriverSetupError(`${command}: ${error.message}`)));
    child.once('close', (code) => {
      if (code === 0) {
        resolve(Buffer.concat(output).toString('utf8'));
        return;
      }
      const complaint = Buffer.concat(errors).toString('utf8').trim().split('\n').slice(-4).join('; ');
      reject(new DriverSetupError(`${command} ${args[0] ?? ''} failed with exit code ${code}: ${complaint}`));
    });
  });
}
