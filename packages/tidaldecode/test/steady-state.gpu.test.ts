import { type Gpu, MethodRun, openGpu } from '@saccade/core';
import { DecodeSteps, type LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { expect, it } from 'vitest';
import { tidalDecode } from '../src/index.ts';

it('200 sparse steps through generate leave live bytes where they were and create no buffer, bind group or pipeline', async () => {
  // A device of its own: other tests' tensors would change which buffers the pool hands out.
  const gpu = await openGpu();
  const model = await randomLlama(gpu, { layers: 5, vocabularySize: 64 });
  const prompt = await model.prefill(
    Array.from({ length: 40 }, (_, index) => (7 * index) % 64),
    { reserve: 300 },
  );
  const method = tidalDecode({ topK: 16, sparseLayerStart: 1, reselectionLayers: [3] });
  let steps = 0;
  let before = gpu.stats();
  for await (const _ of model.generate(prompt, { method, maxTokens: 232, ignoreEndOfText: true })) {
    if (++steps === 32) before = gpu.stats();
    if (steps === 231) {
      const after = gpu.stats();
      expect(after.liveBytes).toBe(before.liveBytes);
      expect(after.buffersCreated).toBe(before.buffersCreated);
      expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
      expect(after.pipelinesCreated).toBe(before.pipelinesCreated);
      expect(after.readbacks - before.readbacks).toBe(199);
    }
  }
  expect(steps).toBe(232);
  prompt.dispose();
  model.dispose();
  expect(gpu.stats().liveBytes).toBe(0);
  gpu.dispose();
});

/** Logits after each of `ids` behind a short prompt, and the stores of lists that the last step made. */
async function decode(gpu: Gpu, model: LanguageModel, ids: readonly number[], planned: boolean) {
  const method = { ...tidalDecode({ topK: 12, sparseLayerStart: 1, reselectionLayers: [3] }), steadySteps: planned };
  const run = await MethodRun.start(model, method);
  const prompt = [3, 1, 4, 1, 5];
  const cache = model.createCache(prompt.length + 4);
  const first = model.forward(prompt, { cache, run });
  first.hidden.dispose();
  first.logits?.dispose();
  const decoding = new DecodeSteps(model, run);
  const logits: Float32Array[] = [];
  let created = 0;
  for (const id of ids) {
    const token = gpu.tensor([id], [1], 'u32');
    cache.reserve(1, 8);
    const before = gpu.stats().bindGroupsCreated;
    logits.push((await gpu.read([decoding.next([token], cache)]))[0] as Float32Array);
    created = gpu.stats().bindGroupsCreated - before;
    token.dispose();
  }
  for (const each of [decoding, cache, run]) each.dispose();
  return { logits, created };
}

it('planned steps give what recorded ones give, from below the budget to beyond it and as the cache grows', async () => {
  const gpu = await openGpu({ poison: true });
  const model = await randomLlama(gpu, { layers: 5, vocabularySize: 64 });
  const ids = Array.from({ length: 24 }, (_, index) => (7 * index) % 64);
  const planned = await decode(gpu, model, ids, true);
  const recorded = await decode(gpu, model, ids, false);
  for (const [index, row] of planned.logits.entries()) {
    const other = recorded.logits[index] as Float32Array;
    const worst = row.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] as number))), 0);
    expect(worst).toBeLessThan(1e-5);
  }
  expect(planned.created).toBe(0);
  model.dispose();
  expect(gpu.stats().liveBytes).toBe(0);
  gpu.dispose();
});
