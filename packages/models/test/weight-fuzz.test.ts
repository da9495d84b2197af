import { SaccadeError } from '@saccade/core';
import { seededRandom } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import type { ModelFiles } from '../src/resolve/types.ts';
import { blobSource } from '../src/weights/blob-source.ts';
import { loadableWeights } from '../src/weights/loadable-weights.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import type { ByteSource } from '../src/weights/types.ts';
import { mutate } from './mutations.ts';
import { ggufBytes, safetensorsBytes } from './weight-writers.ts';

const files = 10_000;

/** A small sound GGUF file with every kind of value, and tensors of several types. */
function soundGguf(): { bytes: Uint8Array<ArrayBuffer>; headerBytes: number } {
  const count = { embedding_length: 32, block_count: 1, feed_forward_length: 32, context_length: 64 };
  const bytes = ggufBytes({
    values: [
      ['general.architecture', 8, (writer) => writer.text('llama')],
      ['general.alignment', 4, (writer) => writer.u32(32)],
      ...Object.entries(count).map(
        ([name, value]) => [`llama.${name}`, 4, (w) => w.u32(value)] as const satisfies Value,
      ),
      ['llama.attention.head_count', 4, (writer) => writer.u32(2)],
      ['llama.attention.layer_norm_rms_epsilon', 6, (writer) => writer.u32(0x3727c5ac)],
      ['tokens', 9, (writer) => writer.u32(8).u64(3).text('a').text('bc').text('')],
      ['numbers', 9, (writer) => writer.u32(4).u64(2).u32(7).u32(8)],
      ['nested', 9, (writer) => writer.u32(9).u64(1).u32(10).u64(1).u64(9)],
    ],
    tensors: [
      { name: 'token_embd.weight', dimensions: [32, 4], type: 8, offset: 0 },
      { name: 'blk.0.attn_norm.weight', dimensions: [32], type: 0, offset: 160 },
      { name: 'blk.0.attn_q.weight', dimensions: [32, 2], type: 6, offset: 288 },
      { name: 'blk.0.ffn_up.weight', dimensions: [256, 1], type: 12, offset: 352 },
    ],
    data: 512,
  });
  return { bytes, headerBytes: bytes.byteLength - 512 };
}

type Value = NonNullable<Parameters<typeof ggufBytes>[0]['values']>[number];

function soundSafetensors(): { bytes: Uint8Array<ArrayBuffer>; headerBytes: number } {
  const bytes = safetensorsBytes(
    {
      __metadata__: { format: 'pt' },
      'model.embed_tokens.weight': { dtype: 'BF16', shape: [8, 4], data_offsets: [0, 64] },
      'model.norm.weight': { dtype: 'F32', shape: [4], data_offsets: [64, 80] },
      'model.other': { dtype: 'F16', shape: [1, 8], data_offsets: [80, 96] },
      'lm_head.weight': { dtype: 'F16', shape: [8, 4], data_offsets: [96, 160] },
    },
    160,
  );
  return { bytes, headerBytes: bytes.byteLength - 160 };
}

const text = (content: string) => new TextEncoder().encode(content) as Uint8Array<ArrayBuffer>;
const json = (value: unknown) => text(JSON.stringify(value));
const deep = (open: string, close: string) => `${open.repeat(1e6)}1${close.repeat(1e6)}`;
const configuration = json({
  model_type: 'llama',
  vocab_size: 8,
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 8,
  rms_norm_eps: 1e-5,
  rope_parameters: {
    rope_theta: 10000,
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  },
  eos_token_id: [1, 2],
});
const shardIndex = json({
  metadata: { total_size: 160 },
  weight_map: { 'model.norm.weight': 'a.safetensors', 'lm_head.weight': 'a.safetensors' },
});

/** Files in memory that count what is read of them. */
class WatchedFiles implements ModelFiles {
  readonly name = 'fuzz';
  readonly source = 'local';
  readonly location = 'fuzz';
  readonly names: readonly string[];
  readonly largestFile: number;
  readonly totalBytes: number;
  largestRead = 0;
  readBytes = 0;
  opened = 0;
  readonly #contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

  constructor(contents: Readonly<Record<string, Uint8Array<ArrayBuffer>>>) {
    this.#contents = new Map(Object.entries(contents));
    this.names = [...this.#contents.keys()];
    const sizes = Object.values(contents).map(({ byteLength }) => byteLength);
    this.largestFile = Math.max(...sizes);
    this.totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  }

  async open(name: string): Promise<ByteSource> {
    const bytes = this.#contents.get(name);
    if (!bytes) return blobSource(new Blob([]), name);
    this.opened++;
    let closed = false;
    return {
      name,
      size: bytes.byteLength,
      read: async (offset, length) => {
        if (!(offset >= 0 && length >= 0 && offset + length <= bytes.byteLength)) {
          throw new Error(`${length} bytes at ${offset} of ${bytes.byteLength} were asked for`);
        }
        this.largestRead = Math.max(this.largestRead, length);
        this.readBytes += length;
        return bytes.slice(offset, offset + length);
      },
      close: async () => {
        if (!closed) this.opened--;
        closed = true;
      },
    };
  }
}

/** Loads as the loader does, without a GPU: the code of the error, or `sound`. */
async function load(watched: WatchedFiles): Promise<string> {
  let first = 'sound';
  const note = (error: unknown) => {
    if (!SaccadeError.isInstance(error)) throw error;
    expect(error.message.length).toBeLessThan(2000);
    if (first === 'sound') first = error.code;
  };
  try {
    const stored = await openWeights(watched);
    try {
      await readModelConfig(stored, watched).catch(note);
      const weights = loadableWeights(stored, { dtype: 'f32' });
      for (const name of weights.tensorNames()) {
        await weights.read(name).catch(note);
      }
    } finally {
      await stored.close();
    }
  } catch (error) {
    note(error);
  }
  return first;
}

describe('10,000 files with something wrong', () => {
  const gguf = soundGguf();
  const safetensors = soundSafetensors();
  const random = seededRandom(20);
  const kinds: Readonly<Record<string, () => WatchedFiles>> = {
    gguf: () => new WatchedFiles({ 'm.gguf': mutate(gguf.bytes, gguf.headerBytes, random) }),
    safetensors: () => {
      const bytes = mutate(safetensors.bytes, safetensors.headerBytes, random);
      return new WatchedFiles({ 'model.safetensors': bytes, 'config.json': configuration });
    },
    configuration: () => {
      const config = mutate(configuration, configuration.byteLength, random);
      return new WatchedFiles({ 'model.safetensors': safetensors.bytes, 'config.json': config });
    },
    index: () => {
      const index = mutate(shardIndex, shardIndex.byteLength, random);
      const contents = { 'model.safetensors.index.json': index, 'a.safetensors': safetensors.bytes };
      return new WatchedFiles({ ...contents, 'config.json': configuration });
    },
  };
  const shares = { gguf: 0.5, safetensors: 0.3, configuration: 0.1, index: 0.1 };

  it('the sound ones are sound', async () => {
    expect(await load(new WatchedFiles({ 'm.gguf': gguf.bytes }))).toBe('sound');
    const whole = { 'model.safetensors': safetensors.bytes, 'config.json': configuration };
    expect(await load(new WatchedFiles(whole))).toBe('sound');
    const sharded = { 'model.safetensors.index.json': shardIndex, 'a.safetensors': safetensors.bytes };
    expect(await load(new WatchedFiles({ ...sharded, 'config.json': configuration }))).toBe('sound');
  });

  it.each([
    ['a header', { 'model.safetensors': safetensorsBytes(deep('{"a":', '}')), 'config.json': configuration }],
    ['a tensor', { 'model.safetensors': safetensorsBytes(`{"a":${deep('[', ']')}}`), 'config.json': configuration }],
    [
      'a configuration',
      { 'model.safetensors': safetensors.bytes, 'config.json': text(`{"model_type":${deep('[', ']')}}`) },
    ],
    ['an index', { 'model.safetensors.index.json': text(`{"weight_map":${deep('{"a":', '}')}}`) }],
  ])('%s nested a million deep is refused', async (_what, contents) => {
    expect(['corrupt', 'invalid', 'missing']).toContain(await load(new WatchedFiles(contents)));
  });

  it.each(Object.entries(shares))(
    '%s: a typed error or a sound file, and no read past the end',
    async (kind, share) => {
      const codes = new Map<string, number>();
      for (let round = 0; round < files * share; round++) {
        const watched = (kinds[kind] as () => WatchedFiles)();
        const code = await load(watched);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        expect(watched.opened, 'files left open').toBe(0);
        expect(watched.largestRead).toBeLessThanOrEqual(watched.largestFile);
        expect(watched.readBytes).toBeLessThanOrEqual(4 * watched.totalBytes);
      }
      // The changes hit: more than half of the files are refused, for several reasons.
      const refused = files * share - (codes.get('sound') ?? 0);
      expect(refused).toBeGreaterThan((files * share) / 2);
      expect(codes.size).toBeGreaterThan(2);
    },
  );
});
