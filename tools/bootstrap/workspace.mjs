import { spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the workspace. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * The folder of the user's cache that Saccade writes to.
 *
 * @param {NodeJS.ProcessEnv} environment
 */
export function cacheFolder(environment = process.env) {
  if (environment.XDG_CACHE_HOME) return join(environment.XDG_CACHE_HOME, 'saccade');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'saccade');
  if (process.platform === 'win32')
    return join(environment.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'saccade');
  return join(homedir(), '.cache', 'saccade');
}

/**
 * Tells the user what is being done.
 *
 * @param {string} line
 */
export function say(line) {
  process.stdout.write(`saccade: ${line}\n`);
}

/**
 * Runs a command in the workspace with the caller's input and output.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Record<string, string>} [variables] beside the present environment
 * @returns {Promise<number>} its exit code
 */
export function run(command, args, variables = {}) {
  const shell = process.platform === 'win32' && command !== process.execPath;
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...variables }, stdio: 'inherit', shell });
  // The terminal sends an interrupt to the child too, and the child decides how to end.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });
}

/** A step that failed; its own output has said why. */
export class StepFailed extends Error {
  /**
   * @param {string} step
   * @param {number} exitCode
   */
  constructor(step, exitCode) {
    super(`${step} failed (exit code ${exitCode})`);
    this.exitCode = exitCode;
  }
}

/**
 * As {@link run}, but a failure is thrown.
 *
 * @param {string} step what this does, for the message
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Record<string, string>} [variables]
 */
export async function runStep(step, command, args, variables) {
  const exitCode = await run(command, args, variables);
  if (exitCode !== 0) throw new StepFailed(step, exitCode);
}
