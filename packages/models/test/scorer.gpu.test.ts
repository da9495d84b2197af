import {
  type Gpu,
  type KvCache,
  type Method,
  MethodRun,
  type PromptCache,
  RefusedError,
  randomUniform,
  type ScorerOptions,
  type ScorerState,
  scorer,
  square,
  sum,
  type Tensor,
  type TokenList,
} from '@saccade/core';
import { assertClose, randomIntegers, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;

const prompt = [...randomIntegers(40, 3, 64)].map((id) => id + 1);

beforeAll(async () => {
  gpu = await sharedGpu();
  model = await randomLlama(gpu, { layers: 3, vocabularySize: 65 });
});

afterAll(() => model.dispose());

type Policy = Omit<ScorerOptions, 'name' | 'score'>;

/** Keeps keys of large norm. */
const keyNorm = (policy: Policy) =>
  scorer({ name: 'key-norm', ...policy, score: (_, { keys }) => sum(square(keys), { axis: 3 }) });

/** Keeps rows by chance, the same for the same seed. */
const random = (policy: Policy) =>
  scorer({
    name: 'random',
    ...policy,
    score: ({ gpu: own, seed, layer, seen }, { positions }) =>
      randomUniform(own, positions.shape, { seed, stream: layer * 65_536 + seen }),
  });

/** Keeps what the queries of the last pass attend to. */
const attentionMass = (policy: Policy) =>
  scorer({
    name: 'attention-mass',
    ...policy,
    needs: { keyMass: { per: 'kvHead', queries: { last: 8 } } },
    score: (_, { outcome }) => outcome.statistics?.keyMass as Tensor,
  });

const examples = { keyNorm, random, attentionMass };

async function idsOf(method?: Method | Method[], maxTokens = 12): Promise<number[]> {
  const ids: number[] = [];
  const options = { maxTokens, ignoreEndOfText: true, ...(method ? { method } : {}) };
  for await (const piece of model.generate(prompt, options)) ids.push(...piece.ids);
  return ids;
}

/** A method that looks at the cache between two tokens. */
function watch(look: (cache: KvCache, decoded: number) => void | Promise<void>): Method {
  return {
    name: 'watch',
    options: {},
    phases: ['prefill', 'decode'],
    step: (context) => (context.phase === 'decode' ? look(context.cache, context.decoded) : undefined),
  };
}

/** Positions that each head of a layer holds. */
async function heldPositions(cache: KvCache, layer: number): Promise<number[][]> {
  const rows = gpu.tidy(() => cache.layer(layer).padded());
  const [positions, lengths] = (await gpu.read([rows.positions, rows.lengths])) as [Uint32Array, Uint32Array];
  const longest = rows.positions.shape[2] as number;
  for (const tensor of Object.values<Tensor>({ ...rows })) tensor.dispose();
  return [...lengths].map((length, head) => [...positions.subarray(head * longest, head * longest + length)]);
}

describe.each(Object.entries(examples))('the scorer %s', (_, make) => {
  it('equals dense with the whole budget', async () => {
    expect(await idsOf(make({ budget: { ratio: 1 }, every: 4 }))).toEqual(await idsOf());
  });

  it('keeps sinks, recent tokens and its budget in every global layer, and frees the rest', async () => {
    const seen: number[][][] = [];
    const bytes: number[] = [];
    const method = make({ budget: 12, sinks: 2, recent: 4 });
    await idsOf([
      method,
      watch(async (cache, decoded) => {
        bytes.push(cache.bytes);
        if (decoded === 1) for (let layer = 0; layer < 3; layer++) seen.push(await heldPositions(cache, layer));
      }),
    ]);
    for (const positions of seen.flat()) {
      expect(positions).toHaveLength(13);
      expect(positions).toEqual(expect.arrayContaining([0, 1, 36, 37, 38, 39, 40]));
      expect(new Set(positions).size).toBe(13);
    }
    expect(seen).toHaveLength(3);
    // Dense: 2 heads x (40 + 12) tokens of keys and values of 16 in f32. Evicted: 12 + 12 rows, their positions, 3 x 64 words.
    expect(new Set(bytes)).toEqual(new Set([3 * (2 * 24 * (2 * 16 * 4 + 4) + 3 * 64 * 4)]));
  });
});

describe('a scorer', () => {
  it.each(['head', 'layer'] as const)(
    'computes what attention masked to its rows computes, budget per %s',
    async (per) => {
      const method = random({ budget: 10, per, sinks: 1, recent: 2 });
      const tokens = [7, 50, 3];
      const evicted = await model.prefill(prompt, { method });
      const kept = await Promise.all([0, 1, 2].map((layer) => heldPositions(evicted.kv, layer)));
      for (const heads of kept) expect(heads.flat()).toHaveLength(2 * 10);
      if (per === 'layer') expect(kept.some(([first, second]) => first?.length !== second?.length)).toBe(true);
      const dense = await model.prefill(prompt);
      const masked: Method = {
        name: 'masked',
        options: {},
        phases: ['decode'],
        attend({ layer, seen }, _call, next) {
          const lists = (kept[layer] as number[][]).map((own) => [
            ...own,
            ...Array.from({ length: seen - prompt.length }, (_, index) => prompt.length + index),
          ]);
          const width = Math.max(...lists.map((list) => list.length));
          const indices = lists.flatMap((list) => [...list, ...new Array<number>(width - list.length).fill(0)]);
          const list: TokenList = {
            indices: gpu.tensor(indices, [1, 2, width], 'u32'),
            counts: gpu.tensor(
              lists.map((own) => own.length),
              [1, 2],
              'u32',
            ),
            per: 'kvHead',
          };
          return next({ tokens: list });
        },
      };
      const decode = async (cache: PromptCache, own?: Method): Promise<number[]> => {
        const run = await MethodRun.start(model, own);
        run.phase = 'decode';
        const logits = tokens.map((id) => {
          const result = model.forward([id], { cache: cache.kv, run });
          result.hidden.dispose();
          return result.logits as Tensor;
        });
        const data = await gpu.read(logits);
        for (const tensor of logits) tensor.dispose();
        run.dispose();
        return data.flatMap((row) => [...row]);
      };
      assertClose(await decode(evicted), await decode(dense, masked), { absolute: 1e-5, relative: 1e-4 });
      evicted.dispose();
      dense.dispose();
    },
  );

  it('evicts anew every few tokens, reads nothing back, and leaks nothing', async () => {
    const method = attentionMass({ budget: 12, sinks: 2, recent: 4, every: 3, per: 'layer' });
    await idsOf(method);
    const live = gpu.stats().liveBytes;
    const rows: number[] = [];
    const before = gpu.stats().readbacks;
    await idsOf([method, watch((cache) => void rows.push(cache.bytes))]);
    expect(gpu.stats().readbacks - before).toBe(12);
    // Rows of a layer: 12 kept per head on average, and room for three tokens.
    expect(new Set(rows)).toEqual(new Set([3 * (2 * 15 * (2 * 16 * 4 + 4) + 3 * 64 * 4)]));
    expect(gpu.stats().liveBytes).toBe(live);
  });

  it('waits for the end of a prompt that runs in parts, and keeps positions right for a longer one', async () => {
    const long = [...randomIntegers(530, 4, 64)].map((id) => id + 1);
    const run = await MethodRun.start(model, random({ budget: 20, sinks: 1, recent: 5 }));
    const cache = await model.prefillWith(run, long, { reserve: 4 });
    expect((run.state as ScorerState).evictions).toBe(3);
    expect((await heldPositions(cache.kv, 1)).map((own) => own.length)).toEqual([20, 20]);
    expect(cache.kv.length).toBe(530);
    // A further turn: two more tokens see the kept rows and each other.
    const next = await model.extend(cache, [5, 6]);
    expect((await heldPositions(next.kv, 1))[0]?.slice(-7)).toEqual([525, 526, 527, 528, 529, 530, 531]);
    for (const each of [cache, next, run]) each.dispose();
  });

  it('leaves window layers to their rings', async () => {
    using mixed = await randomLlama(gpu, {
      layers: 3,
      vocabularySize: 65,
      layerKinds: ['window', 'global', 'window'],
      slidingWindow: 6,
    });
    const kinds: string[][] = [];
    const look = watch((cache) => void kinds.push([0, 1, 2].map((layer) => cache.layer(layer).kind)));
    const texts: number[][] = [];
    for (const method of [
      [],
      [keyNorm({ budget: { ratio: 1 } })],
      [keyNorm({ budget: 8, sinks: 1, recent: 2 }), look],
    ]) {
      const ids: number[] = [];
      for await (const piece of mixed.generate(prompt, { maxTokens: 6, ignoreEndOfText: true, method })) {
        ids.push(...piece.ids);
      }
      texts.push(ids);
    }
    expect(texts[1]).toEqual(texts[0]);
    expect(texts[2]).toHaveLength(6);
    expect(new Set(kinds.map(String))).toEqual(new Set(['window,ragged,window']));
  });

  it('may act on a prompt that ran without it', async () => {
    const dense = await model.prefill(prompt, { reserve: 8 });
    const sizes: number[] = [];
    const method = [random({ budget: 10, sinks: 1, recent: 3 }), watch((cache) => void sizes.push(cache.bytes))];
    for await (const _ of model.generate(dense, { maxTokens: 4, ignoreEndOfText: true, method }));
    expect(sizes.length).toBeGreaterThan(0);
    for (const bytes of sizes) expect(bytes).toBeLessThan(dense.kv.bytes / 2);
    expect(dense.kv.layer(0).kind).toBe('contiguous');
    dense.dispose();
  });

  it('does not run with a method that needs the whole cache, nor does that on what it left', async () => {
    const whole: Method = { name: 'whole', options: {}, phases: ['decode'], requires: { wholeCache: true } };
    const method = random({ budget: 10, sinks: 1, recent: 3 });
    await expect(MethodRun.start(model, [whole, method])).rejects.toThrow(RefusedError);
    await expect(MethodRun.start(model, [whole, method])).rejects.toThrow(/whole and random/);
    const evicted = await model.prefill(prompt, { method });
    const run = async () => {
      for await (const _ of model.generate(evicted, { maxTokens: 3, ignoreEndOfText: true, method: whole }));
    };
    await expect(run()).rejects.toThrow(/whole cannot run on this cache/);
    evicted.dispose();
  });
});
