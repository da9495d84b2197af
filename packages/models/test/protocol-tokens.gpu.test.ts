import {
  concatenate,
  type Gpu,
  gather,
  type LayerContext,
  type Method,
  MethodRun,
  multiply,
  type Tensor,
} from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;

const ids = [5, 9, 30, 2, 41, 17];

beforeAll(async () => {
  gpu = await sharedGpu();
  model = await randomLlama(gpu, { layers: 3, vocabularySize: 64 });
});

afterAll(() => model.dispose());

function toy(parts: Partial<Method>): Method {
  return { name: 'toy', options: {}, phases: ['prefill'], ...parts };
}

/** After layer 0 only these tokens go on. */
const keep = (rows: readonly number[]): Method =>
  toy({ selectTokens: ({ layer }) => (layer === 0 ? rows : undefined) });

/** Logits of the prompt's last token and of two tokens decoded behind it, [3, 64]. */
async function logitsWith(method?: Method | readonly Method[]): Promise<Float32Array> {
  const run = await MethodRun.start(model, method);
  const cache = model.createCache(8, run);
  const taken: Tensor[] = [];
  try {
    for (const tokens of [ids, [7], [33]]) {
      const { hidden, logits } = model.forward(tokens, { cache, run });
      hidden.dispose();
      taken.push(logits as Tensor);
      run.phase = 'decode';
    }
    const all = concatenate(taken);
    taken.push(all);
    return (await all.read()) as Float32Array;
  } finally {
    for (const each of [...taken, cache, run]) each.dispose();
  }
}

/** The same as a mask: in later layers, prompt tokens that were left out are seen by nobody. */
function masked(rows: readonly number[]): Method {
  return toy({
    phases: ['prefill', 'decode'],
    attend: ({ layer, start, queryLength }, _, next) => {
      if (layer === 0) return next();
      const kept = [...rows, ...Array.from({ length: start + queryLength - 6 }, (_, index) => 6 + index)];
      const both = [...kept, ...kept];
      return next({ tokens: { indices: gpu.tensor(both, [1, 2, kept.length], 'u32'), per: 'kvHead' } });
    },
  });
}

describe('selectTokens', () => {
  it('with all tokens gives the dense result, in prefill and in the steps behind it', async () => {
    assertClose(await logitsWith(keep([0, 1, 2, 3, 4, 5])), await logitsWith(), { absolute: 1e-4 });
  });

  it('leaves out tokens as a mask of later layers does; positions stay', async () => {
    const rows = [0, 2, 5];
    assertClose(await logitsWith(keep(rows)), await logitsWith(masked(rows)), { absolute: 1e-4 });
  });

  it('chosen on the device: rows as u32', async () => {
    const onDevice = toy({
      selectTokens: ({ layer }) => (layer === 0 ? gpu.tensor([0, 2, 5], [3], 'u32') : undefined),
    });
    expect(await logitsWith(onDevice)).toEqual(await logitsWith(keep([0, 2, 5])));
  });

  it('selects again among those that are left, and tells the following layers where they stand', async () => {
    const seen: string[] = [];
    const positions: Tensor[] = [];
    const twice = toy({
      selectTokens: ({ layer }) =>
        [
          [1, 3, 4, 5],
          [0, 1, 3],
        ][layer],
      attend: (context, _, next) => {
        seen.push(describeRows(context));
        if (context.positions) positions.push(gpu.keep(context.positions.alias()));
        return next();
      },
    });
    await logitsWith(twice);
    expect(seen).toEqual(['0: 6 of 6', '1: 4 of 4', '2: 3 of 3']);
    expect((await gpu.read(positions)).map((list) => [...list])).toEqual([
      [1, 3, 4, 5],
      [1, 3, 5],
    ]);
    for (const tensor of positions) tensor.dispose();
  });

  it('gives the hidden states of the tokens that are left', async () => {
    const run = await MethodRun.start(model, keep([0, 2, 5]));
    const { hidden, logits } = model.forward(ids, { run, logits: 'all' });
    expect([hidden.shape, logits?.shape]).toEqual([
      [3, 64],
      [3, 64],
    ]);
    for (const tensor of [hidden, logits]) tensor?.dispose();
    run.dispose();
  });

  it('what is left out is not computed with: NaN there reaches nothing', async () => {
    const poison = toy({
      layer: ({ layer }, x, next) => {
        const output = next(x);
        if (layer > 0) return output;
        return multiply(output, gpu.tensor([1, Number.NaN, 1, Number.NaN, Number.NaN, 1], [6, 1]));
      },
    });
    expect((await logitsWith(poison)).every(Number.isNaN)).toBe(true);
    expect(await logitsWith([poison, keep([0, 2, 5])])).toEqual(await logitsWith(keep([0, 2, 5])));
  });

  it('takes the work of the later layers in proportion, and their memory', async () => {
    const measure = async (method: Method) => {
      const run = await MethodRun.start(model, method);
      const cache = model.createCache(6);
      const profile = await gpu.profile(() => model.forward(ids, { run, cache, logits: 'none' }).hidden.dispose());
      const bytes = [0, 1, 2].map((layer) => cache.layer(layer).bytes);
      cache.dispose();
      run.dispose();
      return { flops: profile.entries.reduce((sum, entry) => sum + entry.flops, 0), bytes };
    };
    const [six, four, two] = [
      await measure(keep([0, 1, 2, 3, 4, 5])),
      await measure(keep([0, 1, 2, 5])),
      await measure(keep([4, 5])),
    ];
    // A third of later rows each time, and of the quadratic part of attention a little more.
    const perRow = (six.flops - four.flops) / 2;
    expect(perRow).toBeGreaterThan(0);
    expect((four.flops - two.flops) / 2 / perRow).toBeGreaterThan(0.97);
    expect(two.flops / six.flops).toBeLessThan(0.6);
    expect(two.bytes[0]).toBe(six.bytes[0]);
    expect(two.bytes[1] as number).toBeLessThan(0.6 * (six.bytes[1] as number));
  });

  it('in an encoder tokens leave for good, and the rest see each other at their positions', async () => {
    const encoder = await randomLlama(gpu, { layers: 3, vocabularySize: 64, causal: false });
    const rows = [0, 2, 5];
    const hiddenWith = async (method: Method) => {
      const run = await MethodRun.start(encoder, method);
      const { hidden } = encoder.forward(ids, { run, logits: 'none' });
      const data = await hidden.read();
      const { shape } = hidden;
      hidden.dispose();
      run.dispose();
      return { data: Array.from(data), shape };
    };
    const pruned = await hiddenWith({ ...keep(rows), phases: ['encode'] });
    const hidden = await hiddenWith({ ...masked(rows), phases: ['encode'] });
    expect(pruned.shape).toEqual([3, 64]);
    const left = rows.flatMap((row) => hidden.data.slice(64 * row, 64 * (row + 1)));
    assertClose(pruned.data, left, { absolute: 1e-4 });
    encoder.dispose();
  });

  it('refuses more rows than there are, and rows of another type', async () => {
    await expect(logitsWith(keep([0, 1, 2, 3, 4, 5, 5]))).rejects.toThrow(/token selection.*\[7\].*1 to 6/);
    const floats = toy({ selectTokens: () => gpu.tensor([0, 1]) });
    await expect(logitsWith(floats)).rejects.toThrow(/token selection.*f32\[2\].*u32/);
  });
});

describe('layer for some tokens', () => {
  /** Layer 1 runs on these rows; the others pass by. */
  const some = (rows: readonly number[]): Method =>
    toy({
      layer: ({ layer }, x, next) => {
        if (layer !== 1) return next(x);
        const chosen = gpu.tensor(rows, [rows.length], 'u32');
        const output = next(gather(x, chosen), chosen);
        const at = new Map(rows.map((row, index) => [row, index]));
        return concatenate(
          ids.map((_, row) => {
            const index = at.get(row);
            return index === undefined ? x.slice(0, row, row + 1) : output.slice(0, index, index + 1);
          }),
        );
      },
    });

  it('with all tokens is the layer itself', async () => {
    assertClose(await logitsWith(some([0, 1, 2, 3, 4, 5])), await logitsWith(), { absolute: 1e-4 });
  });

  it('runs the layer on the others alone, at their positions, and later layers on all', async () => {
    const seen: string[] = [];
    const watching: Method = {
      ...some([1, 4, 5]),
      attend: (context, _, next) => {
        seen.push(describeRows(context));
        return next();
      },
    };
    await logitsWith(watching);
    expect(seen).toEqual(['0: 6 of 6', '1: 3 of 3', '2: 6 of 6']);
  });

  it('a layer that the prompt skips still works in the steps behind it', async () => {
    const skip = toy({ layer: ({ layer }, x, next) => (layer === 1 ? x : next(x)) });
    expect((await logitsWith(skip)).every(Number.isFinite)).toBe(true);
  });
});

describe('createCache', () => {
  it('a ring in one layer is a window in its mask, and takes the memory of the ring', async () => {
    const phases = ['prefill', 'decode'] as const;
    const ring = toy({
      phases,
      createCache: ({ globalLayer }) => (globalLayer === 1 ? { kind: 'window', window: 3 } : undefined),
    });
    const window = toy({ phases, mask: ({ layer }) => (layer === 1 ? { slidingWindow: 3 } : undefined) });
    const values = await logitsWith(ring);
    assertClose(values, await logitsWith(window), { absolute: 1e-4 });
    expect(values).not.toEqual(await logitsWith());
    const run = await MethodRun.start(model, ring);
    const [own, ringed] = [model.createCache(30), model.createCache(30, run)];
    expect(ringed.layer(1).bytes).toBe(own.layer(1).bytes / 10);
    for (const each of [own, ringed, run]) each.dispose();
  });
});

function describeRows({ layer, queryLength, keyLength }: LayerContext): string {
  return `${layer}: ${queryLength} of ${keyLength}`;
}
