import { type Gpu, MethodRun, openGpu, type Tensor } from '@saccade/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DecodeSteps } from '../src/language-model/decode-steps.ts';
import type { LanguageModel } from '../src/language-model/language-model.ts';
import { randomLlama } from '../src/testing/index.ts';

// A device of its own: other files' tensors would change which buffers the pool hands out.
let gpu: Gpu;
let model: LanguageModel;
let windowed: LanguageModel;
beforeAll(async () => {
  gpu = await openGpu({ poison: true });
  model = await randomLlama(gpu, { layers: 2, vocabularySize: 64 });
  windowed = await randomLlama(gpu, {
    layers: 2,
    vocabularySize: 64,
    layerKinds: ['window', 'global'],
    slidingWindow: 6,
  });
});
afterAll(() => gpu.dispose());

/** Logits after each of `ids`, one pass each, and what the last of these passes did. */
async function steps(of: LanguageModel, prompt: readonly number[], ids: readonly number[], planned: boolean) {
  const run = MethodRun.dense(of, planned ? {} : { observe: { 'blocks.0.residual.post': () => undefined } });
  const cache = of.createCache(prompt.length + 4);
  const first = of.forward(prompt, { cache, run });
  first.hidden.dispose();
  first.logits?.dispose();
  const decoding = new DecodeSteps(of, run);
  const logits: Float32Array[] = [];
  let last = { before: gpu.stats(), after: gpu.stats() };
  for (const id of ids) {
    const token = gpu.tensor([id], [1], 'u32');
    cache.reserve(1, 8);
    const before = gpu.stats();
    const next = decoding.next([token], cache);
    logits.push((await gpu.read([next]))[0] as Float32Array);
    last = { before, after: gpu.stats() };
    token.dispose();
  }
  const { length } = cache;
  decoding.dispose();
  cache.dispose();
  return { logits, length, last };
}

describe('decode steps of a plain run', () => {
  const prompt = [3, 1, 4, 1, 5];
  const ids = Array.from({ length: 24 }, (_, index) => (7 * index) % 64);

  it.each(['global layers', 'a window that wraps'])(
    'give what recorded ones give, also as the cache grows: %s',
    async (which) => {
      const of = which === 'global layers' ? model : windowed;
      const planned = await steps(of, prompt, ids, true);
      const recorded = await steps(of, prompt, ids, false);
      expect(planned.length).toBe(prompt.length + ids.length);
      for (const [index, row] of planned.logits.entries()) {
        const other = recorded.logits[index] as Float32Array;
        const worst = row.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] as number))), 0);
        expect(worst).toBeLessThan(1e-5);
      }
    },
  );

  it('create no buffer, bind group or pipeline, in one submission with the readback', async () => {
    const { last } = await steps(model, prompt, ids.slice(0, 6), true);
    const { before, after } = last;
    expect(after.buffersCreated).toBe(before.buffersCreated);
    expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
    expect(after.pipelinesCreated).toBe(before.pipelinesCreated);
    expect(after.submits - before.submits).toBe(1);
    expect(after.readbacks - before.readbacks).toBe(1);
  });

  it('leave a fork of the cache alone', async () => {
    const run = MethodRun.dense(model);
    const cache = model.createCache(32);
    const first = model.forward(prompt, { cache, run });
    first.hidden.dispose();
    first.logits?.dispose();
    const decoding = new DecodeSteps(model, run);
    const token = gpu.tensor([9], [1], 'u32');
    const next = async () => (await gpu.read([decoding.next([token], cache)]))[0] as Float32Array;
    await next();
    await next();
    const fork = cache.fork();
    const keys = async () => [...(await (fork.layer(0).keys as Tensor).slice(2, 0, fork.length).read())];
    const before = await keys();
    const third = await next();
    cache.truncate(prompt.length + 2);
    expect(await next()).toEqual(third);
    expect(await keys()).toEqual(before);
    for (const each of [token, fork, cache, decoding]) each.dispose();
  });

  it('frees everything', () => {
    const before = gpu.stats().liveBytes;
    const run = MethodRun.dense(model);
    const cache = model.createCache(32);
    const decoding = new DecodeSteps(model, run);
    const token = gpu.tensor([9], [1], 'u32');
    for (let count = 0; count < 3; count++) decoding.next([token], cache);
    for (const each of [token, cache, decoding]) each.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});
