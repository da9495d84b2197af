import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cacheFolder } from './cache-folder.ts';
import { manifestFolders } from './candidates.ts';
import type { AdapterChoice } from './choose-adapter.ts';

/** Raised when a kept choice of an older version of this package must not be used. */
const format = 1;

const environmentNames = [
  'SACCADE_ADAPTER',
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'VK_ADD_DRIVER_FILES',
  'LD_LIBRARY_PATH',
  'DISPLAY',
  'CUDA_VISIBLE_DEVICES',
];
/** Paths whose change (a driver installed, a GPU handed to a container) may change the choice. */
const watchedPaths = [
  ...manifestFolders,
  '/dev/dri',
  '/dev/nvidia0',
  '/proc/driver/nvidia/version',
  '/etc/ld.so.cache',
];

function modified(path: string): number {
  // A folder under /proc has a new time at each look; its presence is what counts.
  if (!existsSync(path)) return 0;
  return path.startsWith('/proc/') ? 1 : statSync(path).mtimeMs;
}

/** Changes when the choice of an adapter could: Node, Dawn, the relevant environment, the machine's drivers. */
export function choiceKey(): string {
  const webgpu = createRequire(import.meta.url).resolve('webgpu');
  const facts = [
    format,
    process.version,
    process.platform,
    process.arch,
    webgpu,
    modified(webgpu),
    environmentNames.map((name) => process.env[name] ?? null),
    watchedPaths.map(modified),
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

function choiceFile(): string {
  return join(cacheFolder(), 'adapters', `${choiceKey()}.json`);
}

/** The choice of an earlier process in the same circumstances, if its driver is still there. */
export function readChoice(): AdapterChoice | undefined {
  const file = choiceFile();
  if (!existsSync(file)) return undefined;
  const choice = JSON.parse(readFileSync(file, 'utf8')) as AdapterChoice;
  const { VK_DRIVER_FILES: manifest, LD_LIBRARY_PATH: libraries, XDG_RUNTIME_DIR: runtime } = choice.variables;
  return [manifest, libraries, runtime].every((path) => path === undefined || existsSync(path)) ? choice : undefined;
}

/** Keeps a choice for later processes. */
export function writeChoice(choice: AdapterChoice): void {
  const file = choiceFile();
  mkdirSync(join(cacheFolder(), 'adapters'), { recursive: true });
  const partial = `${file}.${process.pid}`;
  writeFileSync(partial, JSON.stringify(choice));
  renameSync(partial, file);
}
