import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { cachedInstall } from '@saccade/cached-install';
import { mustRun } from './run.ts';

/** A package registry on this machine. */
export interface LocalRegistry {
  readonly url: string;
  stop(): void;
}

/**
 * Starts verdaccio in a folder: our packages live in it alone, all others come through it from the user's own registry.
 * Anyone on this machine may publish.
 */
export async function startRegistry(folder: string): Promise<LocalRegistry> {
  const port = await freePort();
  const upstream = (await mustRun('npm', ['config', 'get', 'registry'], folder)).trim();
  const config = join(folder, 'verdaccio.yaml');
  writeFileSync(
    config,
    [
      `storage: ${JSON.stringify(join(folder, 'storage'))}`,
      'uplinks:',
      '  upstream:',
      `    url: ${upstream}`,
      '    timeout: 120s',
      'packages:',
      "  '@saccade/*': { access: $all, publish: $all }",
      "  '**': { access: $all, proxy: upstream }",
      'max_body_size: 100mb',
      'log: { type: stdout, format: pretty, level: error }',
    ].join('\n'),
  );
  // The last line of versions for Node 20. It asks for node-fetch by a tag, which not every registry's mirror keeps.
  const installed = await cachedInstall('verdaccio@~6.1.0', { 'node-fetch': '^2.7.0' });
  const program = join(installed, 'verdaccio', 'bin', 'verdaccio');
  const server = spawn(process.execPath, [program, '--config', config, '--listen', `127.0.0.1:${port}`], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}/`;
  await answers(`${url}-/ping`);
  return { url, stop: () => server.kill() };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

async function answers(url: string): Promise<void> {
  for (let attempt = 0; attempt < 240; attempt++) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`the local registry does not answer at ${url}`);
}
