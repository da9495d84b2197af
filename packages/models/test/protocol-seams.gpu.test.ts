import {
  add,
  contiguous,
  denseRows,
  type Gpu,
  gather,
  type Method,
  MethodRun,
  multiply,
  RefusedError,
  readLogSumExp,
  scale,
  type Tensor,
  topKeys,
} from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;
let dense: Float32Array;

const ids = [5, 9, 30, 2, 41];
const last = 2;

beforeAll(async () => {
  gpu = await sharedGpu();
  model = await randomLlama(gpu, { layers: 3, vocabularySize: 64 });
  dense = await logitsWith();
});

afterAll(() => model.dispose());

function toy(parts: Partial<Method>, name = 'toy'): Method {
  return { name, options: {}, phases: ['prefill', 'decode'], ...parts };
}

/** Logits of the last token, [64]. */
async function logitsWith(...method: Method[]): Promise<Float32Array> {
  const run = await MethodRun.start(model, method);
  try {
    const { hidden, logits } = model.forward(ids, { run });
    const [values] = await gpu.read([logits as Tensor]);
    for (const tensor of [hidden, logits]) tensor?.dispose();
    return values as Float32Array;
  } finally {
    run.dispose();
  }
}

/** Logits of the last token when only the first layers run. */
async function logitsOf(layers: number): Promise<Float32Array> {
  const { hidden, logits } = model.forward(ids, { layers });
  const [values] = await gpu.read([logits as Tensor]);
  for (const tensor of [hidden, logits]) tensor?.dispose();
  return values as Float32Array;
}

describe('layer', () => {
  it('skips', async () => {
    const skip = toy({ layer: ({ layer }, x, next) => (layer === last ? x : next(x)) });
    expect(await logitsWith(skip)).toEqual(await logitsOf(last));
  });

  it('replaces, by a tensor of its own that survives the pass', async () => {
    const own = gpu.keep(gpu.zeros([ids.length, 64]));
    const replace = toy({ layer: ({ layer }, x, next) => (layer === last ? own : next(x)) });
    expect([...(await logitsWith(replace))]).toEqual(new Array(64).fill(0));
    expect(own.disposed).toBe(false);
    own.dispose();
  });

  it('inserts: what it adds behind the last layer passes the final norm', async () => {
    const insert = toy({ layer: ({ layer }, x, next) => (layer === last ? scale(next(x), 2) : next(x)) });
    // RMSNorm undoes a factor.
    assertClose(await logitsWith(insert), dense, { absolute: 1e-4 });
    const shift = toy({ layer: ({ layer }, x, next) => (layer === last ? add(next(x), x) : next(x)) });
    expect(await logitsWith(shift)).not.toEqual(dense);
  });

  it('refuses to run a layer twice', async () => {
    await expect(logitsWith(toy({ layer: (_, x, next) => next(next(x)) }))).rejects.toThrow(/toy: layer 0 ran twice/);
  });
});

describe('transformQKV', () => {
  it('before RoPE, with the normed input: the model’s own projections again change nothing', async () => {
    const shapes: string[] = [];
    const same = toy({
      transformQKV: {
        beforeRope: (_, { q, k, v }, input) => {
          shapes.push([q, k, v, input].map(({ shape }) => shape.join('x')).join(' '));
          return { q: scale(q, 1) };
        },
      },
    });
    expect(await logitsWith(same)).toEqual(dense);
    expect(shapes[0]).toBe('5x4x16 5x2x16 5x2x16 5x64');
  });

  it('a factor on queries commutes with the rotation', async () => {
    const before = toy({ transformQKV: { beforeRope: (_, { q }) => ({ q: scale(q, 2) }) } });
    const after = toy({ transformQKV: { afterRope: (_, { q }) => ({ q: scale(q, 2) }) } });
    assertClose(await logitsWith(before), await logitsWith(after), { absolute: 1e-4 });
    // Left to right: one halves what the other has doubled.
    const half = toy({ transformQKV: { beforeRope: (_, { q }) => ({ q: scale(q, 0.5) }) } });
    assertClose(await logitsWith(before, half), dense, { absolute: 1e-4 });
  });

  it('edits values: without them a layer’s attention adds nothing', async () => {
    const noValues = toy({ transformQKV: { afterRope: (_, { v }) => ({ v: scale(v, 0) }) } });
    const noHeads = toy({ afterAttention: (_, { output }) => scale(output, 0) });
    expect(await logitsWith(noValues)).toEqual(await logitsWith(noHeads));
  });
});

describe('mask and attend', () => {
  it('a window as wide as the text changes nothing; one token wide, each token sees itself', async () => {
    expect(await logitsWith(toy({ mask: () => ({ slidingWindow: 5 }) }))).toEqual(dense);
    const selfOnly = toy({ mask: () => ({ slidingWindow: 1 }) });
    const ownValue = toy({
      attend: (_, { q, values }) => ({ output: repeatHeads(denseRows(values, 5), q.shape[2] as number) }),
    });
    assertClose(await logitsWith(selfOnly), await logitsWith(ownValue), { absolute: 1e-5 });
  });

  it('what one method narrows, another cannot widen', async () => {
    const narrow = toy({ mask: () => ({ slidingWindow: 1 }) }, 'narrow');
    const wide = toy({ attend: (_, __, next) => next({ slidingWindow: 100 }) }, 'wide');
    expect(await logitsWith(narrow, wide)).toEqual(await logitsWith(narrow));
  });

  it('composes like middleware: the first method is outermost and sees what the others return', async () => {
    const order: string[] = [];
    const wrap = (name: string) =>
      toy({
        attend: ({ layer }, { options }, next) => {
          if (layer === 0) order.push(`${name} sees ${options.slidingWindow}`);
          const result = next({ slidingWindow: 3 });
          if (layer === 0) order.push(`${name} returns`);
          return result;
        },
      });
    await logitsWith(wrap('a'), wrap('b'));
    expect(order).toEqual(['a sees undefined', 'b sees 3', 'b returns', 'a returns']);
  });

  it('takes any mask of the engine, and intersects several', async () => {
    const first = toy({ mask: () => ({ mask: { kind: 'prefix', length: 1 } }) });
    const own = toy({ attend: (_, __, next) => next({ mask: { kind: 'slidingWindow', before: 0, after: 0 } }) });
    // Only the first token sees the first one and itself alone; the others see nothing, and get zeros.
    const outputs: Tensor[] = [];
    const watching = toy({ afterAttention: (_, { output }) => void outputs.push(gpu.keep(contiguous(output))) });
    await logitsWith(first, own, watching);
    const [values] = (await gpu.read(outputs)) as [Float32Array];
    for (const tensor of outputs) tensor.dispose();
    const rows = Array.from({ length: 20 }, (_, row) => values.subarray(16 * row, 16 * row + 16).some(Boolean));
    expect(rows).toEqual(Array.from({ length: 20 }, (_, row) => row % 5 === 0));
  });

  it('changes scores and weights: what weighs nothing is as if masked', async () => {
    const first = gpu.tensor([1, 0, 0, 0, 0]);
    const weigh = (renormalise: boolean) =>
      toy({ attend: (_, __, next) => next({ keyMultipliers: { factors: first, renormalise } }) });
    const masked = toy({ mask: () => ({ mask: { kind: 'prefix', length: 1 } }) });
    assertClose(await logitsWith(weigh(true)), await logitsWith(masked), { absolute: 1e-4 });
    expect(await logitsWith(weigh(false))).not.toEqual(await logitsWith(masked));
    const far = toy({ attend: (_, __, next) => next({ scoreModifiers: [{ kind: 'softCap', cap: 1e6 }] }) });
    assertClose(await logitsWith(far), dense, { absolute: 1e-3 });
    const asking = toy({ needs: () => ({ entropy: true }) }, 'asking');
    await expect(logitsWith(far, asking)).rejects.toThrow(/^asking asks for statistics/);
    first.dispose();
  });

  it('hands lists per query block from one layer to the next', async () => {
    const handing = (k: number): Method =>
      toy({
        attend: ({ layer, indices, keyLength }, call, next) => {
          if (layer > 0) return next({ tokens: indices.get(layer) });
          indices.set(
            layer,
            topKeys(call.q, call.keys, { ...call.options, keyLength, k, per: 'kvHead', queryBlock: 2 }),
          );
          return next();
        },
      });
    assertClose(await logitsWith(handing(5)), dense, { absolute: 1e-4 });
    expect(await logitsWith(handing(2))).not.toEqual(dense);
  });

  it('refuses two token lists', async () => {
    const list = () => ({ tokens: { indices: gpu.tensor([0, 0], [1, 2, 1], 'u32'), per: 'kvHead' as const } });
    const both = [toy({ mask: list }, 'a'), toy({ attend: (_, __, next) => next(list()) }, 'b')];
    await expect(logitsWith(...both)).rejects.toThrow(/^b restricts.*list of keys/);
  });
});

describe('needs and afterAttention', () => {
  it('finds the statistics that it asked for, and only in the layers where it asked', async () => {
    const found: (Tensor | undefined)[] = [];
    const asking = toy({
      needs: ({ layer }) => (layer === 1 ? { logSumExp: true } : undefined),
      afterAttention: (_, { logSumExp }) => void found.push(logSumExp && gpu.keep(logSumExp.alias())),
    });
    expect(await logitsWith(asking)).toEqual(dense);
    expect(found.map((tensor) => tensor?.shape)).toEqual([undefined, [1, 4, 5], undefined]);
    const rows = await readLogSumExp(found[1] as Tensor);
    expect(rows.every(Number.isFinite)).toBe(true);
    found[1]?.dispose();
  });

  it('gives each method the statistics of its own request, of what the engine really attended', async () => {
    const masses: Tensor[] = [];
    const keep = (tensor: Tensor | undefined) => void masses.push(gpu.keep(contiguous(tensor as Tensor)));
    const perHead = toy({
      needs: ({ layer }) => (layer === 1 ? { keyMass: {} } : undefined),
      afterAttention: ({ layer }, { statistics }) => void (layer === 1 && keep(statistics?.keyMass)),
    });
    const joined = toy({
      needs: ({ layer }) => (layer === 1 ? { keyMass: { per: 'allHeads' }, entropy: true } : undefined),
      attend: ({ layer }, _, next) => {
        const result = next({ slidingWindow: 1 });
        if (layer === 1) keep(result.statistics?.entropy);
        return result;
      },
      afterAttention: ({ layer }, { statistics }) => void (layer === 1 && keep(statistics?.keyMass)),
    });
    await logitsWith(perHead, joined);
    expect(masses.map(({ shape }) => shape)).toEqual([
      [1, 4, 5],
      [1, 4, 5],
      [1, 1, 5],
    ]);
    const [entropy, own, mean] = (await gpu.read(masses)) as [Float32Array, Float32Array, Float32Array];
    // Each token sees itself only: all mass on it, no entropy.
    assertClose(entropy, new Float32Array(20), { absolute: 1e-5 });
    assertClose(own.subarray(0, 5), Float32Array.of(1, 1, 1, 1, 1), { absolute: 1e-5 });
    assertClose(mean.subarray(0, 5), Float32Array.of(1, 1, 1, 1, 1), { absolute: 1e-5 });
    for (const tensor of masses) tensor.dispose();
  });

  it('runs from left to right over the methods', async () => {
    const double = toy({ afterAttention: (_, { output }) => scale(output, 2) });
    const halve = toy({ afterAttention: (_, { output }) => scale(output, 0.5) });
    expect(await logitsWith(double, halve)).toEqual(dense);
  });
});

describe('selectHeads', () => {
  it('all heads give the dense result; those left out load neither keys nor values and give zeros', async () => {
    expect(await logitsWith(toy({ selectHeads: () => [0, 1] }))).toEqual(dense);
    const outputs: Tensor[] = [];
    const first = toy({
      selectHeads: () => [0],
      transformQKV: {
        afterRope: (_, { k, v }) => {
          const poison = gpu.tensor([1, Number.NaN], [1, 2, 1]);
          return { k: multiply(k, poison), v: multiply(v, poison) };
        },
      },
      afterAttention: (_, { output }) => void outputs.push(gpu.keep(contiguous(output))),
    });
    expect((await logitsWith(first)).every(Number.isFinite)).toBe(true);
    const [values] = (await gpu.read(outputs)) as [Float32Array];
    expect(values.subarray(0, 160).every((value) => value !== 0)).toBe(true);
    expect(values.subarray(160).every((value) => value === 0)).toBe(true);
    for (const tensor of outputs) tensor.dispose();
  });

  it('chosen on the device: flags as u32', async () => {
    const flags = toy({ selectHeads: () => gpu.tensor([0, 1], [2], 'u32') });
    expect(await logitsWith(flags)).toEqual(await logitsWith(toy({ selectHeads: () => [1] })));
    const floats = toy({ selectHeads: () => gpu.tensor([0, 1]) });
    await expect(logitsWith(floats)).rejects.toThrow(/selectHeads.*f32\[2\].*u32\[2\]/);
  });

  it('statistics are those of the heads that are left', async () => {
    const masses: Tensor[] = [];
    const asking = toy({
      selectHeads: () => [1],
      needs: () => ({ keyMass: { per: 'kvHead' } }),
      afterAttention: ({ layer }, { statistics }) => {
        if (layer === 0) masses.push(gpu.keep(contiguous(statistics?.keyMass as Tensor)));
      },
    });
    await logitsWith(asking);
    const [mass] = (await gpu.read(masses)) as [Float32Array];
    const sums = [mass.subarray(0, 5), mass.subarray(5)].map((head) => head.reduce((sum, value) => sum + value, 0));
    assertClose(sums, [0, 5], { absolute: 1e-4 });
    masses[0]?.dispose();
  });

  it('refuses heads that are not there', async () => {
    await expect(logitsWith(toy({ selectHeads: () => [2] }))).rejects.toThrow(/selectHeads.*\[2\].*below 2/);
  });
});

describe('processLogits', () => {
  it('changes what is sampled', async () => {
    const onlySeven = toy({
      processLogits: (_, logits) =>
        add(scale(logits, 0), gpu.tensor(Float32Array.from({ length: 64 }, (_, id) => (id === 7 ? 1 : 0)))),
    });
    const taken: number[] = [];
    for await (const piece of model.generate(ids, { method: onlySeven, maxTokens: 3, ignoreEndOfText: true }))
      taken.push(...piece.ids);
    expect(taken).toEqual([7, 7, 7]);
  });
});

describe('composition', () => {
  it('refuses two owners of a seam that takes one, and names both and the seam', async () => {
    const a = toy({ mask: () => undefined }, 'a');
    const b = toy({ mask: () => undefined }, 'b');
    const both = MethodRun.start(model, [a, b]);
    await expect(both).rejects.toThrow(RefusedError);
    await expect(both).rejects.toThrow('a and b cannot run together: both own mask');
  });

  it('gives each method its state, its lists, and its phases only', async () => {
    const seen: string[] = [];
    const counting = (name: string, phases: Method['phases']): Method<{ calls: number }> => ({
      name,
      options: {},
      phases,
      createState: () => ({ calls: 0 }),
      attend: ({ state, indices, layer, phase }, _, next) => {
        state.calls++;
        if (layer === 0) {
          seen.push(`${name} ${phase} ${indices.has(0)}`);
          indices.set(0, { indices: gpu.tensor([0, 0], [1, 2, 1], 'u32'), per: 'kvHead' });
        }
        return next();
      },
    });
    const [a, b] = [counting('a', ['prefill', 'decode']), counting('b', ['decode'])];
    const run = await MethodRun.start(model, [a, b]);
    const cache = model.createCache(8);
    model.forward(ids, { run, cache, logits: 'none' }).hidden.dispose();
    run.phase = 'decode';
    model.forward([3], { run, cache, logits: 'none' }).hidden.dispose();
    expect(seen).toEqual(['a prefill false', 'a decode false', 'b decode false']);
    expect([run.stateOf(a).calls, run.stateOf(b).calls]).toEqual([6, 3]);
    cache.dispose();
    run.dispose();
  });

  it('refuses a pass inside a pass of the same run', async () => {
    const nested = toy({
      layer: (_, x, next) => {
        model.forward([1], { run });
        return next(x);
      },
    });
    const run = await MethodRun.start(model, nested);
    expect(() => model.forward(ids, { run })).toThrow(/pass of this run is under way/);
    run.dispose();
  });
});

/** Values [1, Hkv, capacity, D] as the output of attention where each token sees itself only: [1, H, N, D]. */
function repeatHeads(values: Tensor, count: number): Tensor {
  const heads = values.slice(2, 0, count).reshape([2, count, 16]);
  return gather(heads, gpu.tensor([0, 0, 1, 1], [4], 'u32')).reshape([1, 4, count, 16]);
}
