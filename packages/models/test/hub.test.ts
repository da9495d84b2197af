import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArgumentError } from '@saccade/core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HubError } from '../src/resolve/hub/hub-error.ts';
import { pipelinePart } from '../src/resolve/pipeline-layout.ts';
import { resolveModel } from '../src/resolve/resolve-model.ts';
import {
  type DownloadProgress,
  type ModelFiles,
  ModelNotFoundError,
  type ResolveOptions,
} from '../src/resolve/types.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { goldenPath } from './golden-folder.ts';
import { gitId, HubServer, type HubTrouble, mainCommit, sha256 } from './hub-server.ts';
import { runChild } from './run-child.ts';
import { safetensorsBytes } from './weight-writers.ts';

const repository = 'owner/name';
const config = readFileSync(goldenPath('llama-tied-bf16/config.json'));
const weights = readFileSync(goldenPath('llama-tied-bf16/model.safetensors'));
const card = Buffer.from('---\nlanguage: en\nlicense: "apache-2.0"\n---\n# A model');
const checkpoint = { 'config.json': config, 'model.safetensors': weights, 'README.md': card };

let hub: HubServer;
let hubCacheFolder: string;
const environment = { ...process.env };

beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.stop());
beforeEach(() => {
  hubCacheFolder = mkdtempSync(join(tmpdir(), 'saccade-hub-'));
  for (const name of Object.keys(process.env)) if (name.startsWith('HF_')) delete process.env[name];
  process.env.HF_HOME = hubCacheFolder;
  hub.serveFiles(repository, checkpoint);
});
afterEach(() => {
  process.env = { ...environment };
  rmSync(hubCacheFolder, { recursive: true });
});

const resolve = (options: ResolveOptions = {}, name = repository) =>
  resolveModel(name, {
    hubCacheFolder,
    cacheFolder: hubCacheFolder,
    hubUrl: hub.url,
    hubTimeout: 2000,
    sources: ['cache', 'hub'],
    ...options,
  });

/** The error of the hub behind a model that was not found. */
async function failure(options: ResolveOptions = {}): Promise<HubError> {
  const error = await resolve(options).catch((reason: unknown) => reason);
  if (!ModelNotFoundError.isInstance(error)) throw new Error(`expected a ModelNotFoundError, got ${String(error)}`);
  const reason = error.failures.find(({ source }) => source === 'hub')?.error;
  if (!HubError.isInstance(reason)) throw new Error(`expected a HubError, got ${String(error)}`);
  return reason;
}

const entry = () => join(hubCacheFolder, 'models--owner--name');
const partials = () => readdirSync(join(entry(), 'blobs')).filter((name) => name.endsWith('.incomplete'));
const isStorage = ({ path }: { readonly path: string }) => path.startsWith('cdn/');
/** Ranges of the weights that were asked for. */
const storageRanges = () =>
  hub.requests.filter(({ path }) => path === `cdn/${sha256(weights)}`).map(({ range }) => range);
/** Trouble with the first answers of the storage. */
const disturbStorage = (...troubles: (HubTrouble | undefined)[]) =>
  hub.disturb((request) =>
    isStorage(request) && request.path.endsWith(sha256(weights)) ? troubles.shift() : undefined,
  );

describe('a pipeline of diffusers', () => {
  const transformer = 'transformer/diffusion_pytorch_model.safetensors';
  const parts = {
    'model_index.json': new TextEncoder().encode('{"_class_name":"DiTPipeline","vae":["diffusers","AutoencoderKL"]}'),
    'transformer/config.json': config,
    [transformer]: weights,
    'vae/config.json': config,
    'vae/diffusion_pytorch_model.safetensors': weights,
    'scheduler/scheduler_config.json': config,
    'README.md': card,
    'text_encoder/model.safetensors': weights,
  };
  const pipeline = { layout: 'pipeline' } as const;

  it('is taken with its parts, and found in the cache only when all are there', async () => {
    hub.serveFiles(repository, parts);
    const files = await resolve(pipeline);
    expect([files.source, files.names]).toEqual([
      'hub',
      Object.keys(parts)
        .filter((name) => !name.startsWith('text_encoder/'))
        .sort(),
    ]);
    const file = await openWeights(pipelinePart(files, 'transformer') as ModelFiles);
    await file.read('model.norm.weight');
    await file.close();
    expect((await resolve(pipeline)).source).toBe('cache');
    rmSync(join(files.location, 'vae'), { recursive: true });
    expect((await resolve(pipeline)).source).toBe('hub');
    expect((await resolve(pipeline)).source).toBe('cache');
  });

  it('may have its weights in shards', async () => {
    const index = { weight_map: { 'model.norm.weight': 'part-1.safetensors' } };
    const { [transformer]: whole, ...others } = parts;
    hub.serveFiles(repository, {
      ...others,
      'transformer/diffusion_pytorch_model.safetensors.index.json': new TextEncoder().encode(JSON.stringify(index)),
      'transformer/part-1.safetensors': whole as Uint8Array,
    });
    const files = await resolve(pipeline);
    const file = await openWeights(pipelinePart(files, 'transformer') as ModelFiles);
    await file.read('model.norm.weight');
    await file.close();
    expect((await resolve(pipeline)).source).toBe('cache');
  });

  it('without weights is refused, saying which', async () => {
    const { [transformer]: _, ...others } = parts;
    hub.serveFiles(repository, others);
    await expect(resolve(pipeline)).rejects.toThrow(`has no ${transformer}`);
    hub.serveFiles(repository, { 'README.md': card });
    await expect(resolve(pipeline)).rejects.toThrow(/neither transformer\/config.json nor config.json/);
  });
});

describe('a download', () => {
  it("lies in the cache as Hugging Face's Python library would leave it", async () => {
    const files = await resolve();
    expect(files.location).toBe(join(entry(), 'snapshots', mainCommit));
    expect(readFileSync(join(entry(), 'refs', 'main'), 'utf8')).toBe(mainCommit);
    expect(readdirSync(join(entry(), 'blobs')).sort()).toEqual([sha256(weights), sha256(card), gitId(config)].sort());
    expect(readlinkSync(join(files.location, 'model.safetensors'))).toBe(`../../blobs/${sha256(weights)}`);
    expect(readFileSync(join(files.location, 'config.json'))).toEqual(config);
    const file = await openWeights(files);
    await file.read('model.norm.weight');
    await file.close();

    hub.requests.length = 0;
    expect((await resolve()).source).toBe('cache');
    expect((await resolve({ revision: mainCommit })).source).toBe('cache');
    expect(hub.requests).toEqual([]);
  });

  it('that Python began is continued with the files that are missing', async () => {
    mkdirSync(join(entry(), 'blobs'), { recursive: true });
    mkdirSync(join(entry(), 'refs'));
    mkdirSync(join(entry(), 'snapshots', mainCommit), { recursive: true });
    writeFileSync(join(entry(), 'refs', 'main'), mainCommit);
    writeFileSync(join(entry(), 'blobs', sha256(weights)), weights);
    writeFileSync(join(entry(), 'snapshots', mainCommit, 'model.safetensors'), weights);
    expect((await resolve()).source).toBe('hub');
    expect(hub.requests.filter(({ path }) => path.includes('model.safetensors'))).toEqual([]);
  });

  it('tells its progress', async () => {
    const progress: DownloadProgress[] = [];
    await resolve({ onProgress: (step) => progress.push(step) });
    const { length } = weights;
    const all = config.length + length + card.length;
    expect(progress.at(-1)).toEqual({
      source: 'hub',
      file: 'model.safetensors',
      loadedBytes: length,
      totalBytes: length,
      overall: { loadedBytes: all, totalBytes: all },
    });
    const shares = progress.map(({ overall }) => overall?.loadedBytes ?? 0);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares[0]).toBeLessThan(all / 2);
  });

  it('takes a revision: a branch, or a commit', async () => {
    const other = '2'.repeat(40);
    const changed = { ...checkpoint, 'README.md': Buffer.from('other') };
    hub.serve({
      [repository]: {
        refs: { main: mainCommit, 'v1.0': other },
        commits: { [mainCommit]: checkpoint, [other]: changed },
      },
    });
    const files = await resolve({ revision: 'v1.0' });
    expect(readFileSync(join(files.location, 'README.md'), 'utf8')).toBe('other');
    expect(readFileSync(join(entry(), 'refs', 'v1.0'), 'utf8')).toBe(other);
    expect((await resolve({ revision: other })).source).toBe('cache');
    expect((await resolve()).location).toBe(join(entry(), 'snapshots', mainCommit));
    expect((await failure({ revision: 'v2' })).code).toBe('revision-not-found');
    await expect(resolve({ revision: '../../x' })).rejects.toThrow(ArgumentError);
    await expect(resolve({ hubUrl: 'huggingface.co' })).rejects.toThrow(/hubUrl \(or HF_ENDPOINT\)/);
  });

  it('takes shards, or the one weight file that is named', async () => {
    const shard = (name: string) => safetensorsBytes({ [name]: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, 8);
    const index = { weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } };
    const gguf = readFileSync(goldenPath('llama-gguf/model.gguf'));
    hub.serveFiles(repository, {
      'config.json': config,
      'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
      'model-00001-of-00002.safetensors': shard('a'),
      'model-00002-of-00002.safetensors': shard('b'),
      'small.Q4_1.gguf': gguf,
    });
    const sharded = await openWeights(await resolve());
    expect(sharded.tensorNames()).toEqual(['a', 'b']);
    await sharded.close();
    const named = await resolve({ weights: 'small.Q4_1.gguf' });
    expect(named.source).toBe('hub');
    const weightFile = await openWeights(named);
    expect(weightFile.format).toBe('gguf');
    await weightFile.close();
    expect((await resolve({ weights: 'small.Q4_1.gguf' })).source).toBe('cache');
    rmSync(join(entry(), 'snapshots', mainCommit, 'model-00002-of-00002.safetensors'));
    expect((await resolve()).source).toBe('hub');
    await expect(resolve({ weights: '../x.gguf' })).rejects.toThrow(ArgumentError);
    await expect(resolve({ weights: 'x.gguf' })).rejects.toThrow(/the repository has no x\.gguf/);
  });
});

describe('a connection that breaks', () => {
  it('is continued where it broke', async () => {
    disturbStorage({ cut: 1000 }, { cut: 500 });
    await resolve();
    const end = weights.length - 1;
    expect(storageRanges()).toEqual([undefined, `bytes=1000-${end}`, `bytes=1500-${end}`]);
    expect(readFileSync(join(entry(), 'blobs', sha256(weights)))).toEqual(weights);
    expect(partials()).toEqual([]);
  });

  it('again and again is an error, and the next call continues', async () => {
    disturbStorage({ cut: 1000 }, { cut: 0 }, { cut: 0 }, { cut: 0 });
    const error = await failure();
    expect(error.code).toBe('interrupted');
    expect(error.message).toMatch(`broke off 4 times at byte 1000 of ${weights.length}`);
    const [partial = ''] = partials();
    hub.requests.length = 0;
    // Nobody has written to it for two minutes.
    const past = new Date(Date.now() - 120_000);
    utimesSync(join(entry(), 'blobs', partial), past, past);
    await resolve();
    expect(storageRanges()).toEqual([`bytes=1000-${weights.length - 1}`]);
    expect(readFileSync(join(entry(), 'blobs', sha256(weights)))).toEqual(weights);
    expect(partials()).toEqual([]);
  });

  it('and stays silent is continued as well', async () => {
    disturbStorage({ stall: 700 });
    await resolve({ hubTimeout: 100 });
    expect(storageRanges()).toEqual([undefined, `bytes=700-${weights.length - 1}`]);
  });

  it('ends when the caller aborts; what has arrived stays', async () => {
    disturbStorage({ stall: 700 });
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ file }: DownloadProgress) => file === 'model.safetensors' && controller.abort(reason);
    await expect(resolve({ signal: controller.signal, onProgress })).rejects.toBe(reason);
    expect(partials()).toHaveLength(1);
    expect(readdirSync(entry())).not.toContain('refs');
  });
});

describe('content', () => {
  const other = Uint8Array.from(weights, (byte, at) => (at === 5000 ? byte ^ 1 : byte));

  it('with a wrong digest is fetched once more', async () => {
    disturbStorage({ bytes: other });
    await resolve();
    expect(readFileSync(join(entry(), 'blobs', sha256(weights)))).toEqual(weights);
  });

  it('with a wrong digest twice is an error, and nothing of it stays', async () => {
    disturbStorage({ bytes: other }, { bytes: other });
    expect((await failure()).code).toBe('checksum');
    expect(partials()).toEqual([]);
    expect(readdirSync(join(entry(), 'blobs'))).not.toContain(sha256(weights));
  });

  it('that changes in between, while a download is continued, is noticed', async () => {
    disturbStorage({ cut: 1000 }, { bytes: other }, undefined);
    await resolve();
    expect(readFileSync(join(entry(), 'blobs', sha256(weights)))).toEqual(weights);
    rmSync(entry(), { recursive: true });
    disturbStorage({ cut: 1000 }, { bytes: weights.subarray(0, 9000) });
    expect((await failure()).message).toMatch(
      `model.safetensors has 9000 bytes, but the hub announced ${weights.length}`,
    );
  });

  it('of a branch that moves during a download is all of one commit', async () => {
    const next = '2'.repeat(40);
    const commits = { [mainCommit]: checkpoint, [next]: { ...checkpoint, 'model.safetensors': other } };
    hub.serve({ [repository]: { refs: { main: mainCommit }, commits } });
    hub.disturb(({ path }) => {
      if (path.includes('paths-info')) hub.serve({ [repository]: { refs: { main: next }, commits } });
      return undefined;
    });
    const files = await resolve();
    expect(readFileSync(join(files.location, 'model.safetensors'))).toEqual(weights);
    // The cache is taken as it is, unless the hub is asked for.
    expect((await resolve({ sources: ['hub'] })).location).toBe(join(entry(), 'snapshots', next));
  });
});

describe('a refusal', () => {
  it.each<[string, HubTrouble, string, RegExp]>([
    ['401', { status: 401 }, 'unauthorized', /asks for a token \(401\): create a token at .*HF_TOKEN/],
    ['403', { status: 403 }, 'forbidden', /give your token the right to read it/],
    ['404', { status: 404 }, 'repository-not-found', /owner\/name is not on .* Check the name/],
    [
      '429 for longer than one waits',
      { status: 429, headers: { 'Retry-After': '3600' } },
      'rate-limited',
      /wait some minutes/,
    ],
    ['500 all the time', { status: 500 }, 'unavailable', /answers 500 .* try again later/],
    ['silence', 'silent', 'timeout', /within 0\.3 s; raise hubTimeout/],
  ])('%s is an error that says what to do', async (_what, trouble, code, message) => {
    hub.disturb(() => trouble);
    const error = await failure({ hubTimeout: 300 });
    expect(error).toMatchObject({ name: 'HubError', code });
    expect(error.message).toMatch(message);
  });

  it('429 is waited for as Retry-After says, 503 is tried again', async () => {
    const troubles: HubTrouble[] = [
      { status: 429, headers: { 'Retry-After': '0' } },
      { status: 429, headers: { 'Retry-After': new Date(Date.now() + 500).toUTCString() } },
      { status: 503 },
    ];
    hub.disturb(() => troubles.pop());
    expect((await resolve()).source).toBe('hub');
    expect(troubles).toEqual([]);
  });

  it('no server at all is an error', async () => {
    const error = await failure({ hubUrl: 'http://127.0.0.1:9' });
    expect(error.code).toBe('unreachable');
    expect(error.message).toMatch(/check the network, the proxy and HF_ENDPOINT/);
  });
});

// The partial file of an abandoned download is /dev/full, which takes no byte.
it.skipIf(!existsSync('/dev/full'))('a full disk is an error that says what to do', async () => {
  mkdirSync(join(entry(), 'blobs'), { recursive: true });
  symlinkSync('/dev/full', join(entry(), 'blobs', `${sha256(weights)}.saccade-x.incomplete`));
  const error = await failure();
  expect(error.code).toBe('no-space');
  expect(error.message).toMatch(/no space left: free some, or set HF_HOME to another disk/);
});

describe('a token', () => {
  it('of the option, the environment or the file is sent to the hub, and not where it redirects to', async () => {
    hub.serveFiles(repository, checkpoint, { token: 'hf_secret' });
    expect((await failure()).message).toMatch(/owner\/name is not on .*, or it is private: then create a token/);
    expect((await failure({ token: 'hf_wrong' })).message).toMatch(/your token does not reach it/);
    const ways: [string, ResolveOptions, () => void][] = [
      ['option', { token: 'hf_secret' }, () => undefined],
      ['file', {}, () => writeFileSync(join(hubCacheFolder, 'token'), 'hf_secret\n')],
      ['environment', {}, () => Object.assign(process.env, { HF_TOKEN: 'hf_secret' })],
    ];
    for (const [way, options, prepare] of ways) {
      prepare();
      rmSync(entry(), { recursive: true, force: true });
      expect((await resolve(options)).source, way).toBe('hub');
      for (const request of hub.requests.slice(-4)) {
        expect(request.authorization, request.path).toBe(isStorage(request) ? undefined : 'Bearer hf_secret');
      }
    }
    rmSync(entry(), { recursive: true });
    process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN = '1';
    expect((await failure()).code).toBe('repository-not-found');
  });

  it('does not help with a gated model before its terms are accepted', async () => {
    hub.serveFiles(repository, checkpoint, { gated: true });
    const error = await failure();
    expect(error.code).toBe('gated');
    expect(error.message).toBe(
      `owner/name is gated: accept its terms at ${hub.url}/owner/name and create a token at ${hub.url}/settings/tokens and give it as HF_TOKEN or the option token.`,
    );
    expect((await failure({ token: 'hf_mine' })).message).toMatch(/with the account of your token\.$/);
  });
});

describe('the environment', () => {
  it('HF_ENDPOINT, HF_HOME and HF_HUB_CACHE say where the hub and its cache are', async () => {
    process.env.HF_ENDPOINT = `${hub.url}/`;
    const files = await resolve({ hubUrl: undefined, hubCacheFolder: undefined });
    expect(files.location).toBe(join(hubCacheFolder, 'hub', 'models--owner--name', 'snapshots', mainCommit));
    process.env.HF_HUB_CACHE = join(hubCacheFolder, 'elsewhere');
    expect((await resolve({ hubUrl: undefined, hubCacheFolder: undefined })).location).toContain('/elsewhere/');
  });

  it('HF_HUB_OFFLINE keeps off the network', async () => {
    process.env.HF_HUB_OFFLINE = '1';
    expect((await failure()).code).toBe('offline');
    expect(hub.requests).toEqual([]);
    expect((await resolve({ offline: false })).source).toBe('hub');
    expect((await resolve()).source).toBe('cache');
    expect((await failure({ offline: true, sources: ['hub'] })).message).toMatch(/download the model once without it/);
  });
});

describe('an answer that no hub gives', () => {
  it('cannot lead outside the cache', async () => {
    const evil = {
      ...checkpoint,
      'model.safetensors.index.json': Buffer.from('{"weight_map":{"a":"../../../a.safetensors"}}'),
    };
    const { 'model.safetensors': _weights, ...sharded } = evil;
    hub.serveFiles(repository, sharded);
    await expect(resolve()).rejects.toThrow(/gives no file name for "a"/);
    expect(readdirSync(hubCacheFolder)).toEqual(['models--owner--name']);
  });
});

it('two processes at once both end with the right file', async () => {
  const settings = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: hubCacheFolder };
  const run = () => runChild('resolve-in-child.ts', [repository], settings);
  expect(await Promise.all([run(), run()])).toEqual([sha256(weights), sha256(weights)]);
  expect(readdirSync(join(entry(), 'blobs')).sort()).toEqual([sha256(weights), sha256(card), gitId(config)].sort());
}, 60_000);
