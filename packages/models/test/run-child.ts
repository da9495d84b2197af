import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs a script of this folder in a process of its own, on the workspace's sources; resolves with what it prints. */
export function runChild(
  script: string,
  parameters: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const path = fileURLToPath(new URL(`./${script}`, import.meta.url));
  const flags = ['--import', 'tsx', '--conditions=@saccade/source', '--expose-gc'];
  const child = spawn(process.execPath, [...flags, path, ...parameters], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve(out.trim());
      else reject(new Error(`${script} ended with code ${code}`));
    });
  });
}
