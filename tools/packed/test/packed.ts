import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeConsumer } from '../src/consumer.ts';
import { packAll } from '../src/pack.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** The packed packages, and a project outside the workspace in which they are installed. */
export interface Packed {
  /** Packed file by package name. */
  readonly files: ReadonlyMap<string, string>;
  readonly consumer: string;
}

let packed: Promise<Packed> | undefined;

/** Packs and installs once for all files of this project, which one process runs; removed when that process ends. */
export function installedPackages(): Promise<Packed> {
  packed ??= packAndInstall();
  return packed;
}

async function packAndInstall(): Promise<Packed> {
  const folder = mkdtempSync(join(tmpdir(), 'saccade-packed-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const files = await packAll(folder);
  const addresses = [...files].map(([name, file]) => [name, pathToFileURL(file).href]);
  const consumer = join(folder, 'consumer');
  await makeConsumer(
    consumer,
    { ...Object.fromEntries(addresses), webgpu: '^0.6.2' },
    {
      'use.mjs': fixture('use.mjs'),
      'use.ts': fixture('use.ts'),
      'tsconfig.bundler.json': tsconfig('bundler', 'esnext'),
      'tsconfig.node16.json': tsconfig('node16', 'node16'),
    },
  );
  return { files, consumer };
}

function fixture(name: string): string {
  return readFileSync(join(fixtures, name), 'utf8');
}

function tsconfig(moduleResolution: string, module: string): string {
  const lib = ['es2022', 'dom', 'esnext.disposable'];
  const compilerOptions = { noEmit: true, strict: true, target: 'es2022', lib, module, moduleResolution, types: [] };
  return JSON.stringify({ compilerOptions, files: ['use.ts'] });
}
