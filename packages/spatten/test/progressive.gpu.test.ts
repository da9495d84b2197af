import {
  attentionProbabilities,
  type Gpu,
  KvCache,
  type Method,
  MethodRun,
  type PagedRows,
  type Tensor,
} from '@saccade/core';
import { assertClose, randomArray, sharedGpu } from '@saccade/core/testing';
import { randomLlama } from '@saccade/models/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { progressiveProbabilities, refetchShare, type SpattenState, spatten } from '../src/index.ts';

const [heads, kvHeads, headSize, keys] = [4, 2, 16, 64];
const keyLength = keys;

/** A cache whose keys are quantized, 6 bits before 4, and its view. */
function quantized(gpu: Gpu, data: ArrayLike<number>): { readonly cache: KvCache; readonly rows: PagedRows } {
  const precision = {
    keys: { bits: 10, lowBits: 4, per: 'token', symmetric: true },
    values: { bits: 8, per: 'token' },
  } as const;
  const cache = KvCache.create(gpu, { layers: [{ kind: 'paged', precision }], kvHeads, headSize, capacity: keys });
  gpu.tidy(() => {
    const k = gpu.tensor(data, [1, kvHeads, keys, headSize]);
    cache.layer(0).append(k, k);
    cache.advance();
  });
  return { cache, rows: cache.layer(0).view().keys as PagedRows };
}

/** Probabilities and flags as numbers. */
async function progressive(gpu: Gpu, q: ArrayLike<number>, rows: PagedRows, threshold: number) {
  const { probabilities, refetched } = gpu.tidy(() =>
    progressiveProbabilities(gpu.tensor(q, [1, heads, 1, headSize]), rows, { keyLength, threshold }),
  );
  const [values, flags] = await gpu.read([probabilities, refetched]);
  probabilities.dispose();
  refetched.dispose();
  return { values: [...(values as Float32Array)], flags: [...(flags as Float32Array)] };
}

async function probabilitiesOf(gpu: Gpu, q: ArrayLike<number>, rows: PagedRows): Promise<number[]> {
  const tensor = gpu.tidy(() => attentionProbabilities(gpu.tensor(q, [1, heads, 1, headSize]), rows, { keyLength }));
  const values = [...(await tensor.read())];
  tensor.dispose();
  return values;
}

describe('progressive quantization', () => {
  it('check 7: tau = 0 never fetches low bits; tau over 1 always does, and then equals one pass over all bits', async () => {
    const gpu = await sharedGpu();
    const { cache, rows } = quantized(gpu, randomArray(kvHeads * keys * headSize, 1));
    const q = randomArray(heads * headSize, 2, { scale: 3 });
    const never = await progressive(gpu, q, rows, 0);
    expect(never.flags).toEqual([0, 0]);
    expect(never.values).toEqual(await probabilitiesOf(gpu, q, rows.high));
    const always = await progressive(gpu, q, rows, 1.01);
    expect(always.flags).toEqual([1, 1]);
    expect(always.values).toEqual(await probabilitiesOf(gpu, q, rows));
    expect(always.values).not.toEqual(never.values);
    cache.dispose();
  });

  it('check 7: peaked scores do not trigger at 0.1, a uniform distribution over 64 keys does', async () => {
    const gpu = await sharedGpu();
    // Head 0's keys are alike; among head 1's one has a score larger by 10 for the query of ones.
    const data = new Float32Array(kvHeads * keys * headSize);
    data.fill(0.25, 0, keys * headSize);
    data.fill(2.5, (keys + 20) * headSize, (keys + 21) * headSize);
    const { cache, rows } = quantized(gpu, data);
    const q = new Float32Array(heads * headSize).fill(1);
    const { values, flags } = await progressive(gpu, q, rows, 0.1);
    expect(flags).toEqual([1, 0]);
    expect(values[2 * keys + 20]).toBeGreaterThan(0.99);
    assertClose(values.slice(0, keys), new Array(keys).fill(1 / keys), { absolute: 1e-4 });
    cache.dispose();
  });

  it('check 7: an error of one score changes probabilities by at most half of it in all', () => {
    const scores = fc.array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 2, maxLength: 40 });
    const softmax = (values: readonly number[]) => {
      const weights = values.map(Math.exp);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return weights.map((weight) => weight / total);
    };
    fc.assert(
      fc.property(scores, fc.nat(39), (values, place) => {
        const delta = 1e-4;
        const at = place % values.length;
        const before = softmax(values);
        const after = softmax(values.map((value, index) => (index === at ? value + delta : value)));
        const change = after.reduce((sum, value, index) => sum + Math.abs(value - (before[index] as number)), 0);
        const p = before[at] as number;
        expect(change).toBeLessThanOrEqual(delta / 2 + 1e-8);
        expect(change).toBeCloseTo(2 * delta * p * (1 - p), 7);
      }),
    );
  });

  it('check 8: the larger the scores, the fewer heads fetch low bits', async () => {
    const gpu = await sharedGpu();
    const shares: number[] = [];
    const { cache, rows } = quantized(gpu, randomArray(kvHeads * keys * headSize, 5));
    for (const size of [0.2, 2, 8, 40]) {
      let fetched = 0;
      for (let trial = 0; trial < 6; trial++) {
        const q = randomArray(heads * headSize, 100 + trial, { scale: size });
        fetched += (await progressive(gpu, q, rows, 0.3)).flags.reduce((sum, flag) => sum + flag, 0);
      }
      shares.push(fetched / 12);
    }
    expect(shares[0]).toBe(1);
    expect(shares.at(-1)).toBeLessThan(0.5);
    expect([...shares].sort((a, b) => b - a)).toEqual(shares);
    cache.dispose();
  });

  it('heads that do not count read nothing', async () => {
    const gpu = await sharedGpu();
    const { cache, rows } = quantized(gpu, randomArray(kvHeads * keys * headSize, 1));
    const [probabilities, refetched] = gpu.tidy(() => {
      const q = gpu.tensor(randomArray(heads * headSize, 2), [1, heads, 1, headSize]);
      const result = progressiveProbabilities(q, rows, { keyLength, threshold: 1.01, heads: gpu.tensor([0, 1]) });
      return [result.probabilities, result.refetched];
    });
    expect([...(await refetched.read())]).toEqual([0, 1]);
    expect([...(await probabilities.read())].slice(0, 2 * keys).every((value) => value === 0)).toBe(true);
    for (const tensor of [probabilities, refetched]) tensor.dispose();
    cache.dispose();
  });

  it('in a model: all bits are nearer to dense than the high ones, and refetches are told', async () => {
    const gpu = await sharedGpu();
    const model = await randomLlama(gpu, { layers: 3, hiddenSize: 64 });
    const prompt = Array.from({ length: 150 }, (_, index) => (index * index * 37 + 11) % 251);
    const before = gpu.stats().liveBytes;
    const decode = async (method: Method) => {
      const run = await MethodRun.start(model, method);
      const cache = model.createCache(200, run);
      run.phase = 'prefill';
      model.forward(prompt, { cache, run, logits: 'none' }).hidden.dispose();
      run.phase = 'decode';
      const rows: Float32Array[] = [];
      for (const id of [5, 77]) {
        const { hidden, logits } = model.forward([id], { cache, run });
        rows.push((await (logits as Tensor).read()) as Float32Array);
        hidden.dispose();
        logits?.dispose();
      }
      const share = method.name === 'spatten' ? await refetchShare(run.stateOf(method) as SpattenState) : null;
      cache.dispose();
      run.dispose();
      return { rows, share };
    };
    const common = { averageTokenKeep: 1, phases: ['decode'] } as const;
    const dense = await decode({ name: 'dense', options: {}, phases: [] });
    const always = await decode(spatten({ ...common, requantThreshold: 1.5 }));
    const never = await decode(spatten({ ...common, requantThreshold: 0 }));
    const some = await decode(
      spatten({ ...common, requantThreshold: 0.1, averageTokenKeep: 0.6, valueKeep: 0.5, averageHeadKeep: 0.6 }),
    );
    expect(always.share).toBe(1);
    expect(never.share).toBe(0);
    expect(some.share).toBeGreaterThanOrEqual(0);
    const difference = (a: Float32Array[], b: Float32Array[]) =>
      Math.max(...a.flatMap((row, step) => [...row].map((value, at) => Math.abs(value - (b[step]?.[at] as number)))));
    expect(difference(always.rows, dense.rows)).toBeLessThan(0.1);
    expect(difference(never.rows, dense.rows)).toBeGreaterThan(2 * difference(always.rows, dense.rows));
    expect(some.rows[1]?.every(Number.isFinite)).toBe(true);
    expect(gpu.stats().liveBytes).toBe(before);
    model.dispose();
  });

  it('refuses a cache without low bits', async () => {
    const model = await randomLlama(await sharedGpu(), { layers: 2 });
    const prompt = await model.prefill([1, 2, 3]);
    const generated = async () => {
      const run = { method: spatten({ requantThreshold: 0.1 }), maxTokens: 2, ignoreEndOfText: true };
      const pieces: string[] = [];
      for await (const { text } of model.generate(prompt, run)) pieces.push(text);
      return pieces;
    };
    await expect(generated()).rejects.toThrow(/low bits apart/);
    prompt.dispose();
    model.dispose();
  });
});
