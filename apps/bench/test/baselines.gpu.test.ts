import { type Method, MethodRun, type PromptCache, parseOptions, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accumulatedMass, lastWindow, layerTopK, randomTokens, sinksRecent } from '../src/baselines/index.ts';
import { quantizedCache } from '../src/baselines/quantized-cache.ts';
import { DensityMeter } from '../src/measure/density.ts';
import { goOnFrom } from '../src/measure/prompt-methods.ts';

const ids = Array.from({ length: 50 }, (_, index) => (index * 11) % 250);

let model: LanguageModel;
let prompt: PromptCache;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers: 4 });
  prompt = await model.prefill(ids);
});

afterAll(() => {
  prompt.dispose();
  model.dispose();
});

/** Runs a prompt and one further token under methods. */
async function runAll(methods: readonly Method[]): Promise<Float32Array> {
  const run = await MethodRun.start(model, methods);
  const cache = await model.prefillWith(run, ids, {});
  run.phase = 'decode';
  const { hidden, logits } = model.forward([77], { cache: cache.kv, run });
  const row = (await (logits as Tensor).read()) as Float32Array;
  hidden.dispose();
  logits?.dispose();
  cache.dispose();
  run.dispose();
  return row;
}

const layers = 4;
const [heads, kvHeads] = [4, 2];

/** Sum over the prompt's queries from `first` on, and mean over a group's heads, of what each token is given. */
async function promptMasses(first: number): Promise<number[][][]> {
  const kept: Tensor[] = [];
  const queries = ids.map((_, query) => query);
  await runAll([
    {
      name: 'rows',
      options: {},
      phases: ['prefill'],
      needs: () => ({ probabilityRows: { queries } }),
      afterAttention: (_, { statistics }) => {
        if (statistics?.probabilityRows) kept.push(model.gpu.keep(statistics.probabilityRows.alias()));
      },
    },
  ]);
  const data = await model.gpu.read(kept);
  const columns = kept.map((tensor) => tensor.shape[3] as number);
  for (const tensor of kept) tensor.dispose();
  return data.map((rows, layer) =>
    Array.from({ length: kvHeads }, (_, kvHead) =>
      ids.map((_, key) => {
        let mass = 0;
        for (let head = 2 * kvHead; head < 2 * kvHead + heads / kvHeads; head++) {
          for (let query = first; query < ids.length; query++) {
            mass += (rows[(head * ids.length + query) * (columns[layer] as number) + key] as number) / 2;
          }
        }
        return mass;
      }),
    ),
  );
}

/** The lists that a method hands to attention when it decodes the token behind the prompt, by layer. */
async function listsOf(method: Method | undefined): Promise<number[][][]> {
  const lists: Tensor[] = [];
  const spy: Method = {
    name: 'spy',
    options: {},
    phases: ['decode'],
    attend: (_, { options }, next) => {
      if (options.tokens) lists.push(model.gpu.keep(options.tokens.indices.alias()));
      return next();
    },
  };
  await runAll(method ? [method, spy] : [spy]);
  const data = await model.gpu.read(lists);
  for (const tensor of lists) tensor.dispose();
  return data.map((list) => {
    const count = list.length / kvHeads;
    return Array.from({ length: kvHeads }, (_, head) => [...list.subarray(head * count, (head + 1) * count)]);
  });
}

/** The `newest` last of 51 tokens, and of the others the best by a score. */
function expectedList(scores: readonly number[], count: number, newest: number): number[] {
  const others = scores.map((_, key) => key).filter((key) => key < 51 - newest);
  const best = others.sort((a, b) => (scores[b] as number) - (scores[a] as number)).slice(0, count - newest);
  return [...best.sort((a, b) => a - b), ...Array.from({ length: newest }, (_, at) => 51 - newest + at)];
}

async function decode(meter: DensityMeter, method: Parameters<DensityMeter['behind']>[0]): Promise<Float32Array> {
  const run = await MethodRun.start(model, meter.behind(method));
  run.phase = 'decode';
  const fork = prompt.fork();
  const { hidden, logits } = model.forward([77], { cache: fork.kv, run });
  const row = (await (logits as Tensor).read()) as Float32Array;
  hidden.dispose();
  logits?.dispose();
  fork.dispose();
  run.dispose();
  return row;
}

/** Options that only one of the baselines has. */
const watching = { window: 8, pooling: 3 };

describe('baselines', () => {
  for (const entry of [randomTokens, sinksRecent, layerTopK, accumulatedMass, lastWindow]) {
    it(`${entry.name}: a budget of the whole context gives the dense logits, a small one does not; density is what was read`, async () => {
      const dense = await decode(new DensityMeter(), undefined);
      const meter = new DensityMeter();
      assertClose(await decode(meter, entry.create({ topK: 1000, denseLayers: 2, ...watching })), dense, {
        absolute: 1e-4,
      });
      expect(meter.density).toBe(1);
      const small = new DensityMeter();
      const sparse = await decode(small, entry.create({ topK: 5, denseLayers: 2, ...watching }));
      expect(Math.max(...sparse.map((value, index) => Math.abs(value - (dense[index] as number))))).toBeGreaterThan(
        1e-3,
      );
      // Two of four layers read 51 tokens, two read 5.
      expect(small.density).toBeCloseTo((2 * 51 + 2 * 5) / (4 * 51), 12);
    });
  }

  it('accumulated-mass reads the newest tokens and those with the most mass over the whole prompt', async () => {
    const masses = await promptMasses(0);
    const lists = await listsOf(accumulatedMass.create({ topK: 12, denseLayers: 1 }));
    expect(lists).toEqual(
      masses.slice(1, layers).map((ofLayer) => ofLayer.map((scores) => expectedList([...scores, 0], 12, 6))),
    );
  });

  it('last-window reads the newest tokens and those that the prompt’s last queries look at, averaged over neighbours', async () => {
    const masses = await promptMasses(ids.length - 8);
    const lists = await listsOf(lastWindow.create({ topK: 12, denseLayers: 1, window: 8, pooling: 3 }));
    const pooled = (scores: readonly number[]) =>
      [...scores, 0].map((score, key) => score + (scores[key - 1] ?? 0) + (scores[key + 1] ?? 0));
    expect(lists).toEqual(
      masses.slice(1, layers).map((ofLayer) => ofLayer.map((scores) => expectedList(pooled(scores), 12, 6))),
    );
  });

  it('what was seen of a text serves several questions, each of which leaves it as it is', async () => {
    const { gpu } = model;
    const method = accumulatedMass.create({ topK: 12, denseLayers: 1 }) as Method;
    const live = gpu.stats().liveBytes;
    const run = await MethodRun.start(model, method);
    const cache = await model.prefillWith(run, ids, {});
    const follower = goOnFrom(method, run.stateOf(method));
    const answers: Float32Array[] = [];
    for (const token of [77, 13, 77]) {
      const next = await MethodRun.start(model, follower);
      next.phase = 'decode';
      const fork = cache.fork();
      const { hidden, logits } = model.forward([token], { cache: fork.kv, run: next });
      answers.push((await (logits as Tensor).read()) as Float32Array);
      for (const each of [hidden, logits as Tensor, fork, next]) each.dispose();
    }
    expect(answers[2]).toEqual(answers[0]);
    expect(answers[1]).not.toEqual(answers[0]);
    assertClose(answers[0] as Float32Array, await runAll([method]), { absolute: 1e-5 });
    cache.dispose();
    run.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
    expect(() => goOnFrom({ ...method, name: 'other' }, {})).toThrow(/other: its state has no fork/);
  });

  it('quantized-cache reads every token from fewer bytes, the fewer the budget', async () => {
    const text = [...ids, ...ids, ...ids];
    const logitsOf = async (budget: number | undefined) => {
      const { atBudget, create } = quantizedCache;
      const options = {
        ...parseOptions(quantizedCache.options, budget ? (atBudget?.(budget, text.length) ?? {}) : {}),
      };
      const run = await MethodRun.start(model, budget ? create(options) : undefined);
      const cache = await model.prefillWith(run, text, { reserve: 1 });
      run.phase = 'decode';
      const { hidden, logits } = model.forward([77], { cache: cache.kv, run });
      const row = (await (logits as Tensor).read()) as Float32Array;
      const { bytes } = cache.kv;
      for (const each of [hidden, logits, cache, run]) each?.dispose();
      return { row, bytes };
    };
    const dense = await logitsOf(undefined);
    const [eight, two] = [await logitsOf(0.25), await logitsOf(0.0625)];
    const error = (row: Float32Array) =>
      row.reduce((sum, value, at) => sum + Math.abs(value - (dense.row[at] as number)), 0);
    expect(error(eight.row)).toBeGreaterThan(0);
    expect(error(two.row)).toBeGreaterThan(8 * error(eight.row));
    expect(two.bytes).toBeLessThan(eight.bytes);
    // A third of the text stands in a page that is not full, in f32.
    expect(eight.bytes).toBeLessThan(0.8 * dense.bytes);
  });

  it('statistics add no readback to a generation: one per token', async () => {
    for (const entry of [accumulatedMass, lastWindow]) {
      const method = entry.create({ topK: 12, denseLayers: 1, ...watching }) as Method;
      const before = model.gpu.stats();
      let tokens = 0;
      for await (const piece of model.generate(ids, { method, maxTokens: 6, ignoreEndOfText: true })) {
        tokens += piece.ids.length;
      }
      expect(tokens).toBe(6);
      expect(model.gpu.stats().readbacks - before.readbacks).toBe(6);
      expect(model.gpu.stats().liveBytes).toBe(before.liveBytes);
    }
  });
});
