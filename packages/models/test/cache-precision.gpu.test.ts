import { ArgumentError, type CacheOptions, type Gpu, type Method, MethodRun, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LanguageModel, perplexity } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;

const ids = Array.from({ length: 60 }, (_, index) => (11 * index + 3) % 64);
const pageSize = 16;

beforeAll(async () => {
  gpu = await sharedGpu();
  model = await randomLlama(gpu, {
    layers: 3,
    vocabularySize: 64,
    layerKinds: ['global', 'window', 'global'],
    slidingWindow: 20,
  });
});

afterAll(() => model.dispose());

/** Logits of every token of the text, run in passes of 20 and then one by one, and the bytes of the cache. */
async function run(cache: CacheOptions | undefined, method?: Method): Promise<{ logits: Float32Array; bytes: number }> {
  const started = await MethodRun.start(model, method, { cache });
  const kv = model.createCache(ids.length, started);
  const rows: Tensor[] = [];
  try {
    for (const pass of [ids.slice(0, 20), ids.slice(20, 40), ...ids.slice(40).map((id) => [id])]) {
      started.phase = pass.length > 1 ? 'prefill' : 'decode';
      const { hidden, logits } = model.forward(pass, { cache: kv, run: started });
      hidden.dispose();
      rows.push(logits as Tensor);
    }
    const read = (await gpu.read(rows)) as Float32Array[];
    return { logits: Float32Array.from(read.flatMap((row) => [...row])), bytes: kv.bytes };
  } finally {
    for (const each of [...rows, kv, started]) each.dispose();
  }
}

async function collect(pieces: AsyncIterable<{ readonly ids: readonly number[] }>): Promise<number[]> {
  const all: number[] = [];
  for await (const piece of pieces) all.push(...piece.ids);
  return all;
}

const mean = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, at) => sum + Math.abs(value - (b[at] as number)), 0) / a.length;

describe('cache precision', () => {
  it('in full precision pages change nothing; fewer bits take less memory and come less near', async () => {
    const dense = await run(undefined);
    const pages = await run({ paged: true, pageSize });
    assertClose(pages.logits, dense.logits, { absolute: 1e-4 });
    const errors: number[] = [];
    const bytes: number[] = [];
    for (const precision of [8, 4, 2] as const) {
      const { logits, bytes: own } = await run({ precision, pageSize });
      errors.push(mean(logits, dense.logits));
      bytes.push(own);
    }
    // 255 steps against 15.
    expect(errors[0] as number).toBeLessThan((errors[1] as number) / 8);
    expect(errors).toEqual([...errors].sort((a, b) => a - b));
    expect(bytes).toEqual([...bytes].sort((a, b) => b - a));
    expect(bytes[1] as number).toBeLessThan(0.75 * dense.bytes);
  });

  it('keeps new tokens exact, as many as asked', async () => {
    const dense = await run(undefined);
    const recent = await run({ precision: 2, recent: 60, pageSize });
    assertClose(recent.logits, dense.logits, { absolute: 1e-4 });
    const half = await run({ dtype: 'f16' });
    assertClose(half.logits, dense.logits, { absolute: 0.05 });
    expect(half.bytes).toBeLessThan(0.6 * dense.bytes);
  });

  it('goes with methods that leave tokens out', async () => {
    const keep: Method = {
      name: 'keep',
      options: {},
      phases: ['prefill'],
      selectTokens: ({ layer, queryLength }) =>
        layer === 0 ? Array.from({ length: queryLength / 2 }, (_, row) => 2 * row + 1) : undefined,
    };
    const plain = await run(undefined, keep);
    assertClose((await run({ paged: true, pageSize }, keep)).logits, plain.logits, { absolute: 1e-4 });
    expect(mean((await run({ precision: 8, pageSize }, keep)).logits, plain.logits)).toBeLessThan(0.1);
  });

  it('is an option of every call that makes a cache', async () => {
    const cache = { precision: 8, pageSize } as const;
    const before = gpu.stats().liveBytes;
    const options = { maxTokens: 20, ignoreEndOfText: true };
    const alone = await collect(model.generate(ids, { ...options, cache }));
    expect(alone).toHaveLength(20);
    const prompt = await model.prefill(ids, { cache });
    expect(prompt.kv.layer(0).kind).toBe('paged');
    expect(prompt.kv.layer(1).kind).toBe('window');
    expect(await collect(model.generate(prompt, options))).toEqual(alone);
    await expect(collect(model.generate(prompt, { ...options, cache }))).rejects.toThrow(/earlier prefill/);
    const both: number[][] = [[], []];
    for await (const piece of model.generate([ids, ids.slice(0, 33)], { ...options, cache }))
      both[piece.index]?.push(...piece.ids);
    expect(both[0]).toEqual(alone);
    prompt.dispose();
    const { perplexity: exact } = await perplexity(model, ids);
    const { perplexity: coarse } = await perplexity(model, ids, { cache });
    expect(Math.abs(coarse / exact - 1)).toBeLessThan(0.02);
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('is checked when the run starts', async () => {
    const rejects = (cache: CacheOptions) => expect(model.prefill(ids, { cache })).rejects.toThrow(ArgumentError);
    await rejects({ precision: 5 as 4 });
    await rejects({ recent: 10 });
    await rejects({ precision: 4, pageSize: 24 });
    await rejects({ dtype: 'bf16' as 'f16' });
  });
});
