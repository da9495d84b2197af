import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  attention,
  attentionProbabilities,
  bareRun,
  divide,
  type Gpu,
  type Method,
  multiply,
  type PromptSpans,
  RefusedError,
  type SequenceSpans,
  sum,
  type Tensor,
  topKeys,
} from '../src/index.ts';
import { assertClose, randomArray, sharedGpu } from '../src/testing/index.ts';

let gpu: Gpu;
let q: Tensor;
let k: Tensor;
let v: Tensor;

beforeAll(async () => {
  gpu = await sharedGpu();
  q = gpu.tensor(randomArray(4 * 16, 1), [1, 4, 1, 16]);
  k = gpu.tensor(randomArray(2 * 20 * 16, 2), [1, 2, 20, 16]);
  v = gpu.tensor(randomArray(2 * 20 * 16, 3), [1, 2, 20, 16]);
});

afterAll(() => {
  for (const tensor of [q, k, v]) tensor.dispose();
});

/** Selects in layer 0 and hands the list on, as token-selecting methods do. */
const handOn = (topK: number): Method => ({
  name: 'hand-on',
  options: { topK },
  phases: ['decode'],
  requires: { direction: 'causal', globalLayers: 2 },
  attend({ layer, keyLength, indices }, call, next) {
    if (layer > 0) return next({ tokens: indices.get(layer) });
    indices.set(layer, topKeys(call.q, call.keys, { k: topK, keyLength, per: 'queryHead' }));
    return next();
  },
});

async function values(result: { readonly output: Tensor }): Promise<Float32Array> {
  const read = (await result.output.read()) as Float32Array;
  result.output.dispose();
  return read;
}

describe('attention without a model', () => {
  it('gives a method the spans, and takes rows that it weighs itself: those of multipliers on an image, made by hand', async () => {
    const spans: PromptSpans = {
      length: 19,
      images: [{ image: 0, start: 3, end: 9, rows: 2, columns: 3, positions: [3, 4, 5, 6, 7, 8] }],
    };
    const seen: (SequenceSpans | undefined)[] = [];
    const weigh = (byHand: boolean): Method => ({
      name: 'weigh',
      options: {},
      phases: ['decode'],
      requires: { spans: ['image'] },
      attend(context, call, next) {
        seen.push(context.spans);
        const image = context.spans?.images[0]?.positions ?? [];
        const factors = Float32Array.from({ length: 20 }, (_, key) => (image.includes(key) ? 5 : 1));
        const tensor = gpu.tensor(factors, [20]);
        if (!byHand) return next({ keyMultipliers: { factors: tensor, renormalise: true } });
        const weighed = multiply(
          attentionProbabilities(call.q, call.keys, call.options),
          tensor.reshape([1, 1, 1, 20]),
        );
        const probabilities = divide(weighed, sum(weighed, { axis: -1, keepDims: true })).reshape([4, 20]);
        const rows = gpu.tensor(Uint32Array.from([0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0]), [4, 3], 'u32');
        return next({ givenProbabilities: { rows, probabilities } });
      },
    });
    const byHand = await values(attention(gpu, q, k, v, { method: weigh(true), spans }));
    const byEngine = await values(attention(gpu, q, k, v, { method: weigh(false), spans }));
    assertClose(byHand, byEngine, { absolute: 1e-6 });
    expect(seen.map((each) => each?.response)).toEqual([
      { start: 19, end: 20 },
      { start: 19, end: 20 },
    ]);
    expect(() => attention(gpu, q, k, v, { method: weigh(false) })).toThrow(
      /weigh cannot run on this prompt: it has no image/,
    );
    expect(() => attention(gpu, q, k, v, { method: [weigh(true), weigh(true)], spans })).toThrow(RefusedError);
  });

  it('is the engine’s own without methods', async () => {
    expect(await values(attention(gpu, q, k, v, {}))).toEqual(await values(attention(q, k, v)));
  });

  it('runs layers of one pass through a method: all keys selected give dense attention, fewer give that of the list', async () => {
    const dense = await values(attention(q, k, v));
    for (const topK of [20, 3]) {
      const run = bareRun(gpu, handOn(topK), { layers: 2, heads: 4, kvHeads: 2, headSize: 16 });
      run.phase = 'decode';
      const second = run.pass([{ cache: undefined, count: 1, start: 19 }], () => {
        attention(gpu, q, k, v, { run, layer: 0 }).output.dispose();
        return attention(gpu, q, k, v, { run, layer: 1 });
      });
      run.dispose();
      const tokens = topKeys(q, k, { k: topK, per: 'queryHead' });
      assertClose(await values(second), await values(attention(q, k, v, { tokens })), { absolute: 1e-6 });
      tokens.indices.dispose();
      const again = attention(gpu, q, k, v, { method: { ...handOn(topK), requires: {} } });
      assertClose(await values(again), dense, { absolute: 1e-6 });
    }
  });

  it('calls a method in its phases only, and tells it lengths and facts', async () => {
    const seen: string[] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['prefill'],
      attend: ({ model, phase, start, keyLength, queryLength }, _, next) => {
        seen.push(
          `${phase} ${queryLength} from ${start} of ${keyLength}, ${model.heads} heads, ${model.contextLength}`,
        );
        return next();
      },
    };
    const many = gpu.tensor(randomArray(4 * 5 * 16, 4), [1, 4, 5, 16]);
    await values(attention(gpu, q, k, v, { method: watching, causal: true }));
    await values(
      attention(gpu, many, k, v, { method: watching, causal: true, keyLength: 18, facts: { contextLength: 64 } }),
    );
    expect(seen).toEqual(['prefill 5 from 13 of 18, 4 heads, 64']);
    many.dispose();
  });

  it('refuses what the tensors cannot give', () => {
    expect(() => attention(gpu, q, k, v, { method: handOn(3) })).toThrow(RefusedError);
    expect(() => attention(gpu, q, k, v, { method: handOn(3) })).toThrow(/hand-on.*2 global layers; it has 1/);
    const calibrating = { ...handOn(3), requires: {}, createState: async () => ({}) };
    expect(() => attention(gpu, q, k, v, { method: calibrating })).toThrow(/hand-on waits while it makes its state/);
    const running: Method = { ...handOn(3), requires: {}, createState: (model) => model.forward([1]) };
    expect(() => attention(gpu, q, k, v, { method: running })).toThrow(/asks for a pass.*without a model/);
  });

  it('counts: heads that a method leaves out load no rows, those of lists load their entries', async () => {
    const rows = async (method: Partial<Method>) => {
      const keyRowCounter = gpu.zeros([1], 'u32');
      const toy: Method = { name: 'toy', options: {}, phases: ['decode'], ...method };
      await values(attention(gpu, q, k, v, { method: toy, keyRowCounter, plan: { parts: 1 } }));
      const [count] = (await keyRowCounter.read()) as Uint32Array;
      keyRowCounter.dispose();
      return count as number;
    };
    const all = await rows({});
    expect(await rows({ selectHeads: () => [1] })).toBe(all / 2);
    expect(await rows({ selectHeads: () => [] })).toBe(0);
    const five = { indices: gpu.tensor([0, 3, 4, 8, 19, 1, 2, 3, 4, 5], [1, 2, 5], 'u32'), per: 'kvHead' as const };
    expect(await rows({ mask: () => ({ tokens: five }) })).toBe(all / 4);
    five.indices.dispose();
  });

  it('runs denoising steps on a batch: each layer sees step, grid and samples, and `step` comes between them', async () => {
    const grid = { height: 4, width: 5, textTokens: 0, textFirst: false };
    const seen: unknown[] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      requires: { phases: ['denoise'], direction: 'bidirectional', denoisingSteps: 2 },
      attend({ phase, step, batch, queryLength, keyLength, model }, _call, next) {
        seen.push([phase, step?.index, step?.count, batch, queryLength, keyLength, model.tokenGrid]);
        return next();
      },
      step(context) {
        if (context.phase === 'denoise') seen.push([context.step.index, context.sample.shape]);
      },
    };
    const facts = { layers: 1, heads: 2, kvHeads: 2, headSize: 16, causal: false, denoisingSteps: 2, tokenGrid: grid };
    const run = bareRun(gpu, watching, facts);
    const x = gpu.tensor(randomArray(2 * 2 * 20 * 16, 4), [2, 2, 20, 16]);
    const dense = await values(attention(x, x, x));
    for (const index of [0, 1]) {
      const step = { index, count: 2, stage: 0 };
      if (index > 0) await run.step({ phase: 'denoise', gpu, model: {} as never, step, sample: x });
      run.denoisingStep = step;
      assertClose(await values(attention(gpu, x, x, x, { run })), dense, { absolute: 0 });
      run.tokenGrid = { ...grid, height: 2, width: 10 };
    }
    run.dispose();
    x.dispose();
    expect(seen).toEqual([
      ['denoise', 0, 2, 2, 20, 20, grid],
      [1, [2, 2, 20, 16]],
      ['denoise', 1, 2, 2, 20, 20, { ...grid, height: 2, width: 10 }],
    ]);
    expect(() => bareRun(gpu, watching, { ...facts, denoisingSteps: 1 })).toThrow(/2 denoising steps; it has 1/);
  });

  it('refuses to select tokens of a batch', () => {
    const selecting: Method = { name: 's', options: {}, phases: ['denoise'], selectTokens: () => [0] };
    const run = bareRun(gpu, selecting, { layers: 1, heads: 1, kvHeads: 1, headSize: 4, causal: false });
    run.denoisingStep = { index: 0, count: 1, stage: 0 };
    const pass = () => run.layers(1, gpu.zeros([6, 4]), (_, x) => x.alias());
    gpu.tidy(() => {
      expect(() => run.pass([{ cache: undefined, count: 6, batch: 2 }], pass)).toThrow(/2 samples in one batch/);
    });
    run.dispose();
  });

  it('leaves nothing behind', async () => {
    const before = gpu.stats().liveBytes;
    await values(attention(gpu, q, k, v, { method: { ...handOn(3), requires: {} } }));
    expect(gpu.stats().liveBytes).toBe(before);
  });
});
