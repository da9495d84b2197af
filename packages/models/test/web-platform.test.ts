import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { platform } from '../src/platform/platform.web.ts';
import type { ModelSource } from '../src/resolve/model-source.ts';
import type { DownloadProgress, ModelFiles, ResolveOptions } from '../src/resolve/types.ts';
import { loadTokenizer } from '../src/tokenizer/load-tokenizer.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import { goldenPath } from './golden-folder.ts';
import { HubServer } from './hub-server.ts';

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.stop());
afterEach(() => vi.unstubAllGlobals());

const repository = 'owner/name';
const golden = (name: string) => readFileSync(goldenPath(`llama-tied-bf16/${name}`));
const weightBytes = golden('model.safetensors');

function serveCheckpoint(): void {
  const names = ['config.json', 'generation_config.json', 'model.safetensors'];
  const tokenizer = readFileSync(goldenPath('small-tokenizer/tokenizer.json'));
  hub.serveFiles(repository, {
    ...Object.fromEntries(names.map((name) => [name, golden(name)])),
    'tokenizer.json': tokenizer,
  });
}

function look(source: 'hub' | 'cache', options: ResolveOptions = {}): Promise<ModelFiles> {
  const request = { name: repository, repository, options, revision: 'main', hubUrl: hub.url, hubTimeout: 2000 };
  return (platform.sources[source] as ModelSource)(request);
}

async function assertModel(files: ModelFiles): Promise<void> {
  const weights = await openWeights(files);
  const config = await readModelConfig(weights, files);
  expect(config.layers).toBe(2);
  expect((await loadTokenizer(weights, config, files)).encode('a')).toHaveLength(1);
  const read = await weights.read('model.norm.weight');
  expect(weightBytes.indexOf(read)).toBeGreaterThan(0);
  expect(read.byteLength).toBe(128);
}

/** The browser's Cache API in memory, with a quota in bytes. */
class MemoryCache {
  readonly stored = new Map<string, Blob>();
  quota = Number.POSITIVE_INFINITY;

  async match(url: string): Promise<Response | undefined> {
    const blob = this.stored.get(url);
    return blob && new Response(blob);
  }

  async put(url: string, response: Response): Promise<void> {
    const blob = await response.blob();
    let used = blob.size;
    for (const other of this.stored.values()) used += other.size;
    if (used > this.quota) throw new DOMException('full', 'QuotaExceededError');
    this.stored.set(url, blob);
  }

  async delete(url: string): Promise<boolean> {
    return this.stored.delete(url);
  }
}

function stubCaches(): MemoryCache {
  const cache = new MemoryCache();
  vi.stubGlobal('caches', { open: async () => cache });
  return cache;
}

describe('in a browser', () => {
  it('without a Cache API a model is read from the hub by ranges', async () => {
    serveCheckpoint();
    vi.stubGlobal('caches', undefined);
    const files = await look('hub');
    expect(files.location).toBe(`${hub.url}/owner/name`);
    await assertModel(files);
    const loaded = hub.requests.filter(({ path }) => path.startsWith('cdn/'));
    expect(loaded.length).toBeGreaterThan(1);
    for (const { range } of loaded) expect(range).toMatch(/^bytes=\d+-\d+$/);
    await expect(look('cache')).rejects.toThrow(/no Cache API/);
  });

  it('a model is stored in the Cache API and taken from there', async () => {
    serveCheckpoint();
    const cache = stubCaches();
    await expect(look('cache')).rejects.toThrow(/does not hold it/);
    const progress: DownloadProgress[] = [];
    await assertModel(await look('hub', { onProgress: (step) => progress.push(step) }));
    const { length } = weightBytes;
    const last = progress.filter(({ file }) => file === 'model.safetensors').at(-1);
    expect(last).toMatchObject({ source: 'hub', file: 'model.safetensors', loadedBytes: length, totalBytes: length });

    hub.requests.length = 0;
    const files = await look('cache');
    expect(files.source).toBe('cache');
    await assertModel(files);
    expect(hub.requests).toEqual([]);
    await expect(look('cache', { weights: 'other.gguf' })).rejects.toThrow(/does not hold it/);

    const url = [...cache.stored.keys()].find((key) => key.endsWith('model.safetensors')) as string;
    cache.stored.delete(url);
    await expect(look('cache')).rejects.toThrow(/holds no model\.safetensors/);
    await expect(files.open('model.safetensors')).rejects.toThrow(
      /has removed model\.safetensors from its cache; load the model again/,
    );
    // Only what is missing is fetched again.
    await look('hub');
    expect(
      hub.requests.filter(({ path }) => path.includes('/resolve/')).map(({ path }) => path.split('/').pop()),
    ).toEqual(['model.safetensors']);
  });

  it('storage that is full is an error that says what to do, and keeps nothing of the file', async () => {
    serveCheckpoint();
    const cache = stubCaches();
    cache.quota = 40_000;
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ usage: 30e6, quota: 40e6 }) } });
    const error = await look('hub').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'HubError', code: 'no-space' });
    expect((error as Error).message).toMatch(
      /no room for model\.safetensors, 0 MB \(30 MB of 40 MB are used\): .* take a smaller model/,
    );
    expect([...cache.stored.keys()].some((key) => key.endsWith('model.safetensors'))).toBe(false);
  });

  it('a download that is cut short is an error, and not stored', async () => {
    serveCheckpoint();
    const cache = stubCaches();
    hub.disturb(({ path }) => (path.startsWith('cdn/') ? { cut: 1000 } : undefined));
    await expect(look('hub')).rejects.toMatchObject({ name: 'HubError', code: 'interrupted' });
    expect([...cache.stored.keys()].some((key) => key.endsWith('model.safetensors'))).toBe(false);
    await expect(look('cache')).rejects.toThrow(/does not hold it/);
  });

  it('the package bundles without anything of Node', async () => {
    const warnings: string[] = [];
    const bundle = (await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { conditions: ['@saccade/source', 'browser', 'module', 'import'] },
      build: {
        write: false,
        minify: false,
        target: 'es2023',
        lib: { entry: fileURLToPath(new URL('../src/index.ts', import.meta.url)), formats: ['es'] },
        rolldownOptions: { onLog: (_level, { message }) => warnings.push(message) },
      },
    })) as Rolldown.RolldownOutput[];
    const code = bundle
      .flatMap(({ output }) => output.map((file) => (file.type === 'chunk' ? file.code : '')))
      .join('\n');
    expect(warnings).toEqual([]);
    expect(code).toContain('SmolLM2-135M-Instruct');
    // What the bundler puts in the place of modules that browsers lack.
    expect(code).not.toMatch(/from ["']node:|import\(["']node:|__vite-browser-external|yauzl|child_process/);
  });
});
