import { execFile } from 'node:child_process';

/** How a program ended. */
export interface Ended {
  readonly code: number;
  /** Both streams, in the order in which each was written. */
  readonly output: string;
  readonly stdout: string;
}

/** Runs a program to its end; a failure to start is the only rejection. */
export function run(file: string, args: readonly string[], cwd: string, env = process.env): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { cwd, env, maxBuffer: 1 << 26, timeout: 600_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (error !== null && typeof code !== 'number' && error.killed !== true) reject(error);
      else resolve({ code: typeof code === 'number' ? code : 1, output: `${stdout}\n${stderr}`, stdout });
    });
  });
}

/** Runs a program that must succeed. @throws Error with what it printed */
export async function mustRun(file: string, args: readonly string[], cwd: string, env = process.env): Promise<string> {
  const { code, output, stdout } = await run(file, args, cwd, env);
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}:\n${output}`);
  return stdout;
}
