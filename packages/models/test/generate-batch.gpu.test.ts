import { type GenerateOptions, KvCache, type Method, RefusedError, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchPiece, LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let model: LanguageModel;

beforeAll(async () => {
  // A window that is shorter than the prompts, so that both kinds of layers meet ragged lengths.
  model = await randomLlama(await sharedGpu(), {
    vocabularySize: 128,
    layers: 3,
    layerKinds: ['global', 'window', 'global'],
    slidingWindow: 4,
  });
});

afterAll(() => model.dispose());

const prompts = [[72, 101, 108], [7], [99, 3, 64, 12, 30, 5, 81, 20, 41], [11, 12]];
const settings: GenerateOptions = { maxTokens: 10, ignoreEndOfText: true };

async function together(options: GenerateOptions): Promise<BatchPiece[][]> {
  const texts: BatchPiece[][] = prompts.map(() => []);
  for await (const piece of model.generate(prompts, { ...settings, ...options })) texts[piece.index]?.push(piece);
  return texts;
}

async function alone(options: GenerateOptions): Promise<BatchPiece[][]> {
  const texts: BatchPiece[][] = [];
  for (const [index, prompt] of prompts.entries()) {
    const pieces: BatchPiece[] = [];
    for await (const piece of model.generate(prompt, { ...settings, ...options })) pieces.push({ index, ...piece });
    texts.push(pieces);
  }
  return texts;
}

describe('prompts of different lengths together', () => {
  it.each<[string, GenerateOptions]>([
    ['greedy', {}],
    ['sampled, with a repetition penalty', { temperature: 1.5, topK: 20, seed: 3, repetitionPenalty: 1.3 }],
  ])('give what each gives alone: %s', async (_name, options) => {
    const before = model.gpu.stats().liveBytes;
    expect(await together(options)).toEqual(await alone(options));
    expect(model.gpu.stats().liveBytes).toBe(before);
  });

  it('may end one by one', async () => {
    const whole = await alone({});
    const stop = whole.map((pieces, index) =>
      pieces
        .slice(2 * index + 1, 2 * index + 2)
        .map(({ text }) => text)
        .join(''),
    );
    const ended = await together({ stop: stop.filter((text) => text !== '') });
    expect(ended).toEqual(await alone({ stop: stop.filter((text) => text !== '') }));
    expect(new Set(ended.map((pieces) => pieces.length)).size).toBeGreaterThan(2);
  });

  it('continue prefills, which stay as they were', async () => {
    const caches = [];
    for (const prompt of prompts) caches.push(await model.prefill(prompt));
    const texts: number[][] = prompts.map(() => []);
    for await (const piece of model.generate(caches, settings)) texts[piece.index]?.push(...piece.ids);
    expect(texts).toEqual((await alone({})).map((pieces) => pieces.flatMap(({ ids }) => ids)));
    expect(caches.map(({ kv }) => kv.length)).toEqual(prompts.map(({ length }) => length));
    for (const cache of caches) cache.dispose();
  });

  it('take turns with a method, each with a state of its own', async () => {
    const counting: Method<{ steps: number }> = {
      name: 'counting',
      options: {},
      phases: ['decode'],
      createState: () => ({ steps: 0 }),
      step: (context) => expect(context.phase === 'decode' && context.decoded).toBe(++context.state.steps),
    };
    const plain = (texts: BatchPiece[][]) => texts.map((pieces) => pieces.flatMap(({ ids }) => ids));
    expect(plain(await together({ method: counting }))).toEqual(plain(await alone({})));
  });

  it('of which short ones share the first pass, and long ones are run in chunks', async () => {
    const { gpu } = model;
    const long = Array.from({ length: 600 }, (_, index) => (index * 31 + 7) % 128);
    const options = { ...settings, maxTokens: 3 };
    const texts: number[][] = [[], [], [], []];
    for await (const piece of model.generate([[5, 6], long, [7], [8, 9, 10]], options))
      texts[piece.index]?.push(...piece.ids);
    for (const [index, prompt] of [[5, 6], long, [7], [8, 9, 10]].entries()) {
      const alone: number[] = [];
      for await (const piece of model.generate(prompt, options)) alone.push(...piece.ids);
      expect(texts[index]).toEqual(alone);
    }
    // Four short prompts: the dispatches of one pass, but for attention, which each has of its own.
    const dispatchesOf = async (count: number) => {
      const start = gpu.stats().dispatches;
      const stream = model.generate(new Array(count).fill([1, 2, 3]), { ...options, maxTokens: 1 });
      for await (const _ of stream);
      return gpu.stats().dispatches - start;
    };
    const [one, four] = [await dispatchesOf(1), await dispatchesOf(4)];
    expect(four).toBeLessThan(2.5 * one);
  });

  it('take one readback per step, and as many dispatches of the network as one text', async () => {
    const { gpu } = model;
    const dispatches = (work: () => void) => {
      const before = gpu.stats().dispatches;
      work();
      return gpu.stats().dispatches - before;
    };
    const caches = [];
    for (const prompt of prompts) caches.push(await model.prefill(prompt));
    const joined = KvCache.join(caches.map(({ kv }) => kv));
    const pass = (ids: number[], cache: KvCache) => () => {
      const { hidden, logits } = model.forward(ids, { cache });
      expect(logits?.shape).toEqual([ids.length, 128]);
      hidden.dispose();
      (logits as Tensor).dispose();
    };
    const one = dispatches(pass([1], caches[0]?.kv as KvCache));
    expect(dispatches(pass([1, 2, 3, 4], joined))).toBeLessThanOrEqual(one);
    joined.dispose();
    for (const cache of caches) cache.dispose();

    const before = gpu.stats().readbacks;
    await together({});
    expect(gpu.stats().readbacks - before).toBe(settings.maxTokens);
  });

  it('refuse a method on one cache for all, and tokens that do not divide', async () => {
    const { kv: first, ...rest } = await model.prefill([1, 2]);
    const joined = KvCache.join([first, first]);
    const { MethodRun } = await import('@saccade/core');
    const run = await MethodRun.start(model, { name: 'toy', options: {}, phases: ['decode'] });
    expect(() => model.forward([1, 2], { cache: joined, run })).toThrow(RefusedError);
    expect(() => model.forward([1, 2, 3], { cache: joined })).toThrow(/3 tokens.*2 sequences/);
    run.dispose();
    joined.dispose();
    first.dispose();
    rest.nextLogits.dispose();
  });
});

describe('log-probabilities', () => {
  it('are those of the model at each step, chosen token and most probable ones', async () => {
    const options = { temperature: 2, seed: 4, logprobs: 3, maxTokens: 5 };
    const texts = await together(options);
    expect(texts).toEqual(await alone(options));
    const [pieces] = texts as [BatchPiece[]];
    const ids = [...(prompts[0] as number[]), ...pieces.flatMap((piece) => piece.ids)];
    const logits = await model.logits(ids.slice(0, -1));
    const rows = await logits.read();
    logits.dispose();
    for (const [step, { ids: chosen, logprobs }] of pieces.entries()) {
      const row = [...rows.subarray((2 + step) * 128, (3 + step) * 128)];
      const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
      const order = row.map((_, id) => id).sort((a, b) => (row[b] as number) - (row[a] as number));
      expect(logprobs?.top.map(({ id }) => id)).toEqual(order.slice(0, 3));
      assertClose(
        [logprobs?.logprob as number, ...(logprobs?.top ?? []).map(({ logprob }) => logprob)],
        [chosen[0] as number, ...order.slice(0, 3)].map((id) => (row[id] as number) - total),
        { absolute: 1e-4 },
      );
    }
  });

  it('of the token alone, and out of range', async () => {
    for await (const { logprobs } of model.generate([5], { ...settings, maxTokens: 2, logprobs: 0 })) {
      expect(logprobs).toMatchObject({ logprob: expect.any(Number), top: [] });
    }
    await expect(model.generate([5], { logprobs: -1 }).next()).rejects.toThrow(/logprobs.*0 to 1024/);
  });
});
