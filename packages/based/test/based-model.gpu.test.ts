import { ArgumentError, contiguous, OptionError, ShapeError, type Tensor } from '@saccade/core';
import { CausalLm, Initializer } from '@saccade/core/nn';
import { assertClose, modestGpu, randomIntegers, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { type BasedConfig, BasedModel, based360M, based1300M, LinearMixer, stateBytes } from '../src/index.ts';

const config: BasedConfig = {
  vocabularySize: 40,
  hiddenSize: 16,
  heads: 2,
  featureDim: 4,
  windowSize: 8,
  chunk: 6,
  contextLength: 64,
  layers: ['conv', 'linear', 'window', 'attention'],
};
const rows = 21;
const batch = 2;
const ids = randomIntegers(batch * rows, 5, 40);

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('a model on the %s device', (_, open) => {
  it.each([
    ['tokens one by one', 0],
    ['a prompt, then tokens', 13],
    ['a prompt shorter than the convolution', 1],
  ])('check 2: %s give the logits of the parallel form', async (_name, prompt) => {
    const gpu = await open();
    const { liveBytes } = gpu.stats();
    const model = new BasedModel(new Initializer(gpu, { seed: 3 }), config);
    const tokens = gpu.tensor(ids, [batch, rows], 'u32');
    const parallel = model.forward(tokens) as Tensor;
    const expected = await parallel.read();
    const cache = model.createCache({ batch, capacity: rows });
    const pass = async (from: number, to: number) => {
      const logits = gpu.tidy(() => model.forwardCached(contiguous(tokens.slice(1, from, to)), cache));
      const data = await logits.read();
      logits.dispose();
      for (let sequence = 0; sequence < batch; sequence++) {
        const own = data.subarray(sequence * (to - from) * 40, (sequence + 1) * (to - from) * 40);
        const start = sequence * rows + from;
        const wanted = expected.subarray(start * 40, (start + to - from) * 40);
        assertClose(own, wanted, { relative: 1e-4, absolute: 1e-4, name: `tokens ${from} to ${to}` });
      }
    };
    if (prompt > 0) await pass(0, prompt);
    for (let at = prompt; at < rows; at++) await pass(at, at + 1);
    for (const each of [cache, tokens, parallel, model]) each.dispose();
    expect(gpu.stats().liveBytes).toBe(liveBytes);
  });
});

it('decodes in a state whose size does not depend on the length, and in steady state makes nothing new', async () => {
  const gpu = await sharedGpu();
  const hybrid: BasedConfig = { ...config, layers: ['conv', 'linear', 'window'] };
  const model = new BasedModel(new Initializer(gpu), hybrid);
  const cache = model.createCache({ capacity: 64 });
  expect(cache.bytes).toBe(stateBytes(hybrid, 64));
  expect(stateBytes(hybrid, 64)).toBe(stateBytes(hybrid, 1_000_000));
  expect(stateBytes(config, 64) - stateBytes(hybrid, 64)).toBe(4 * 2 * 16 * 64);
  const token = gpu.tensor([7], [1, 1], 'u32');
  const step = () => model.forwardCached(token, cache).dispose();
  for (let at = 0; at < 12; at++) step();
  await gpu.read([token]);
  const before = gpu.stats();
  for (let at = 0; at < 12; at++) step();
  const after = gpu.stats();
  expect(after.pipelinesCreated).toBe(before.pipelinesCreated);
  expect(after.buffersCreated).toBe(before.buffersCreated);
  expect(after.liveBytes).toBe(before.liveBytes);
  expect(after.readbacks).toBe(before.readbacks);
  expect(cache.lengths).toEqual([24]);
  for (const each of [cache, token, model]) each.dispose();
});

it('forks of a cache go on independently', async () => {
  const gpu = await sharedGpu();
  const model = new BasedModel(new Initializer(gpu), { ...config, layers: ['conv', 'linear', 'window'] });
  const cache = model.createCache();
  const one = (id: number) => gpu.tensor([id], [1, 1], 'u32');
  const logits = async (id: number, on: typeof cache) => {
    const result = gpu.tidy(() => model.forwardCached(one(id), on));
    const data = await result.read();
    result.dispose();
    return data;
  };
  await logits(3, cache);
  const fork = cache.fork();
  const first = await logits(5, cache);
  await logits(9, fork);
  const other = cache.fork();
  expect(await logits(6, cache)).toEqual(await logits(6, other));
  expect(await logits(6, fork)).not.toEqual(first);
  for (const each of [cache, fork, other, model]) each.dispose();
});

it('names what does not fit', async () => {
  const gpu = await sharedGpu();
  const make = (changed: Partial<BasedConfig>) => () => new BasedModel(new Initializer(gpu), { ...config, ...changed });
  expect(make({ layers: ['mamba' as never] })).toThrow(/conv, linear, window, attention/);
  expect(make({ heads: 3 })).toThrow(ArgumentError);
  expect(make({ featureDim: 0 })).toThrow(OptionError);
  expect(make({ expansion: 3 })).toThrow(/expansion.*even/);
  const model = make({})();
  const cache = model.createCache({ batch: 2, capacity: 8 });
  gpu.tidy(() => {
    expect(() => model.forward(gpu.zeros([1, 65], 'u32'))).toThrow(ShapeError);
    expect(() => model.forward(gpu.zeros([1, 3]))).toThrow(/u32 \[B, N\]/);
    expect(() => model.forwardCached(gpu.zeros([1, 1], 'u32'), cache)).toThrow(/the cache holds sequences of 0,0/);
  });
  cache.dispose();
  model.dispose();
});

it('a linear layer stands in a causal language model in place of its attention', async () => {
  const gpu = await sharedGpu();
  const sizes = { vocabularySize: 12, hiddenSize: 16, layers: 2, heads: 2, intermediateSize: 24, contextLength: 8 };
  const model = new CausalLm(new Initializer(gpu), sizes, {
    attention: (_, { hiddenSize, heads }, init) =>
      new LinearMixer(init, { hiddenSize, heads, featureDim: 4, epsilon: 1e-12, chunk: null }),
  });
  const logits = async (last: number) => {
    const out = gpu.tidy(() => model.forward(gpu.tensor([1, 2, 3, 4, last], [1, 5], 'u32')) as Tensor);
    const data = await out.read();
    out.dispose();
    return data;
  };
  const [before, after] = [await logits(5), await logits(6)];
  expect([...model.parameters().keys()]).toContain('model.layers.1.self_attn.proj_k.weight');
  expect(after.subarray(0, 4 * 12)).toEqual(before.subarray(0, 4 * 12));
  expect(after).not.toEqual(before);
  model.dispose();
});

describe('the published sizes', () => {
  it('are those of the released models', () => {
    const count = (preset: BasedConfig, kind: string) => preset.layers.filter((each) => each === kind).length;
    expect([based360M.layers.length, count(based360M, 'linear'), count(based360M, 'window')]).toEqual([27, 5, 5]);
    expect([based1300M.layers.length, count(based1300M, 'linear'), count(based1300M, 'window')]).toEqual([36, 7, 7]);
    // A linear layer holds 16 heads of 153 products with 112 values and a sum (273 in the published layout).
    const bytes = (layers: BasedConfig['layers']) => stateBytes({ ...based1300M, layers }, 2048);
    expect(bytes(['linear'])).toBe(4 * 16 * 153 * 113);
    expect(bytes(['window'])).toBe(4 * 2 * 129 * 1792);
  });
});
