import { openGpu } from '@saccade/core';
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
