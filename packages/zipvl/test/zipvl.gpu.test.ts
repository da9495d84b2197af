import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type KvCache, type Method, type RawImage, RefusedError, type Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { type LanguageModel, loadVisionLanguageModel, type VisionLanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ZipvlOptions, type ZipvlState, zipvl } from '../src/index.ts';

const prompt = Array.from({ length: 70 }, (_, index) => (index * 37 + 11) % 251);
const off = { bitsImportant: 16, bitsOther: 16 } as const;
let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers: 3 });
  return () => model.dispose();
});

async function generated(
  method?: Method,
  maxTokens = 6,
  text = prompt,
): Promise<{ ids: number[]; logprobs: number[] }> {
  const told = { ids: [] as number[], logprobs: [] as number[] };
  const options = { method, maxTokens, ignoreEndOfText: true, logprobs: 0 };
  for await (const { ids, logprobs } of model.generate(text, options)) {
    told.ids.push(...ids);
    if (logprobs) told.logprobs.push(logprobs.logprob);
  }
  return told;
}

/** A run, with its state and cache as they are after each step. */
async function watched(
  options: ZipvlOptions,
  look: (state: ZipvlState, cache: KvCache, decoded: number) => void | Promise<void>,
  maxTokens = 6,
  text = prompt,
) {
  const method = zipvl(options);
  const watching: Method<ZipvlState> = {
    ...method,
    async step(context) {
      await method.step?.(context);
      if (context.phase === 'decode') await look(context.state, context.cache, context.decoded);
    },
  };
  return generated(watching, maxTokens, text);
}

describe('check 1: all of the attention', () => {
  it('gives the plain model where nothing is quantized', async () => {
    const [plain, same] = [await generated(), await generated(zipvl({ tau: 1, ...off }))];
    expect(same.ids).toEqual(plain.ids);
    assertClose(same.logprobs, plain.logprobs, { absolute: 1e-5 });
  });

  it('leaves the bits of the cache as they are where nothing is quantized', async () => {
    const held = async (method: Method) => {
      const prompted = await model.prefill(prompt, { method });
      const tensors = [0, 1, 2].flatMap((layer) => {
        const { keys, values, positions, lengths } = prompted.kv.layer(layer).padded();
        lengths.dispose();
        return [keys, values, positions];
      });
      const data = await model.gpu.read(tensors);
      for (const tensor of tensors) tensor.dispose();
      prompted.dispose();
      return data;
    };
    const own = zipvl({ tau: 1, ...off });
    // The same cache without anything that acts in it.
    const idle: Method<ZipvlState> = { ...own, attend: (_, __, next) => next(), step: () => undefined };
    const plain = await held(idle);
    expect(plain[0]?.some((value) => value !== 0)).toBe(true);
    expect(await held(own)).toEqual(plain);
  });

  it('leaves prefill dense where the cache is quantized, and calls every token important', async () => {
    const plain = await generated();
    const ratios: number[][] = [];
    const same = await watched(
      { tau: 1, bitsImportant: 8, bitsOther: 8 },
      ({ ratios: told }) => void ratios.push([...told]),
    );
    expect(Math.abs((same.logprobs[0] as number) - (plain.logprobs[0] as number))).toBeLessThan(1e-5);
    expect(ratios[0]).toEqual([1, 1, 1]);
  });
});

it('check 5: layers decide for themselves; less attention takes fewer tokens', async () => {
  const ratiosAt = async (tau: number) => {
    let told: readonly number[] = [];
    const look = ({ ratios }: ZipvlState) => {
      told = ratios;
    };
    await watched({ tau }, look, 3);
    return told;
  };
  const [few, many] = [await ratiosAt(0.6), await ratiosAt(0.9)];
  expect(new Set(few).size).toBeGreaterThan(1);
  expect(Math.max(...few)).toBeLessThan(1);
  expect(few[0]).toBeLessThan(many[0] as number);
});

it('the last token of the prompt is important in every layer', async () => {
  await watched({ tau: 0.3 }, (state) => {
    for (const layer of [0, 1, 2]) expect(state.layer(layer).important?.at(-1)).toBe(prompt.length - 1);
  });
});

it('reads choices back once for the prompt, and once for each compression later', async () => {
  const told: number[] = [];
  await watched({ recompressEvery: 4 }, ({ readbacks }) => void told.push(readbacks), 12);
  // The prompt's at the first step; those of decoded tokens behind every fourth.
  expect(told).toEqual([1, 1, 1, 2, 2, 2, 2, 3, 3, 3]);
});

it('reads nothing back while the prompt runs', async () => {
  const readbacks = async (method?: Method) => {
    const before = model.gpu.stats().readbacks;
    (await model.prefill(prompt, { method })).dispose();
    return model.gpu.stats().readbacks - before;
  };
  expect(await readbacks(zipvl())).toBe(await readbacks());
});

it('compresses generated tokens with the others, and keeps each where it stands', async () => {
  const exact = await generated(zipvl({ ...off, recompressEvery: 3 }), 12);
  const close = await watched(
    { bitsImportant: 8, bitsOther: 8, recompressEvery: 3 },
    async (state, cache, decoded) => {
      const { rows, compressed } = state.layer(1);
      const held = (rows?.important ?? 0) + (rows?.other ?? 0);
      expect(held).toBe(compressed);
      const padded = cache.layer(1).padded();
      const { positions } = padded;
      const list = await positions.read();
      for (const tensor of Object.values(padded)) tensor.dispose();
      const longest = positions.shape[2] as number;
      const own = Array.from(list.subarray(0, longest)).sort((a, b) => a - b);
      expect(own).toEqual(Array.from({ length: prompt.length + decoded }, (_, row) => row));
    },
    12,
  );
  // The prompt's attention reads pages and tensors alike.
  assertClose(close.logprobs.slice(0, 1), exact.logprobs.slice(0, 1), { absolute: 1e-5 });
  expect(close.ids.slice(0, 4)).toEqual(exact.ids.slice(0, 4));
  assertClose(close.logprobs.slice(0, 4), exact.logprobs.slice(0, 4), { absolute: 0.1 });
});

it('check 8: the cache shrinks by what was asked for', async () => {
  const long = Array.from({ length: 400 }, (_, index) => (index * 37 + 11) % 251);
  const bytes = async (options: ZipvlOptions) => {
    let told = 0;
    const look = (_: ZipvlState, cache: KvCache) => {
      told ||= cache.layer(0).bytes;
    };
    await watched(options, look, 3, long);
    return told;
  };
  const all = await bytes({ tau: 1, bitsImportant: 8, bitsOther: 8 });
  const mixed = await bytes({ tau: 0.6 });
  const evicted = await bytes({ tau: 0.3, unimportant: 'evict', bitsImportant: 8 });
  expect(mixed).toBeLessThan(all);
  expect(evicted).toBeLessThan(mixed);
});

it('evicts what does not matter, and goes on', async () => {
  let held = 0;
  const { ids } = await watched({ tau: 0.5, unimportant: 'evict', bitsImportant: 16 }, (state, cache, decoded) => {
    held = (state.layer(0).rows?.important ?? 0) + decoded;
    expect(cache.layer(0).longest).toBe(held);
    expect(state.layer(0).rows?.other).toBe(0);
  });
  expect(ids).toHaveLength(6);
  expect(held).toBeLessThan(prompt.length);
});

it('leaves nothing behind', async () => {
  await generated(zipvl({ recompressEvery: 2 }));
  const { liveBytes } = model.gpu.stats();
  await generated(zipvl({ recompressEvery: 2 }));
  expect(model.gpu.stats().liveBytes).toBe(liveBytes);
});

it('refuses a list of keys that another method gives', async () => {
  const narrowing: Method = {
    name: 'narrowing',
    options: {},
    phases: ['prefill'],
    attend: (context, _, next) =>
      next({ tokens: { indices: context.gpu.tensor([0, 1], [1, 1, 2], 'u32') as Tensor, per: 'kvHead' } }),
  };
  const run = async () => {
    for await (const _ of model.generate(prompt, { method: [narrowing, zipvl()], maxTokens: 1 }));
  };
  await expect(run()).rejects.toThrow(RefusedError);
});

describe('a model that sees', () => {
  const folder = fileURLToPath(new URL('../../models/test/golden/llava', import.meta.url));
  let seeing: VisionLanguageModel;
  let image: RawImage;
  beforeAll(async () => {
    const { shape, data } = parseGoldenTensors(readFileSync(`${folder}/golden.safetensors`))('image_0');
    const [height = 0, width = 0] = shape;
    image = { height, width, channels: 3, data: Uint8Array.from(data) };
    seeing = await loadVisionLanguageModel(await sharedGpu(), folder, { sources: ['local'] });
    return () => seeing.dispose();
  });

  it('answers with it; with all of the attention it says the same as without', async () => {
    const answer = async (method?: Method) => {
      const ids: number[] = [];
      const options = { method, maxTokens: 5, ignoreEndOfText: true };
      for await (const piece of seeing.generate({ text: 'What is it?', images: [image] }, options))
        ids.push(...piece.ids);
      return ids;
    };
    const plain = await answer();
    expect(await answer(zipvl({ tau: 1, ...off }))).toEqual(plain);
    expect(await answer(zipvl())).toHaveLength(5);
  });
});
