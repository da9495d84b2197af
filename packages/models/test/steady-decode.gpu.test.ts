import { openGpu, type Tensor } from '@saccade/core';
import { expect, it } from 'vitest';
import { randomLlama } from '../src/testing/index.ts';

it('1,000 decode steps leave live bytes where they were and create no buffer, bind group or pipeline', async () => {
  // A device of its own: other files' tensors would change which buffers the pool hands out.
  const gpu = await openGpu();
  const model = await randomLlama(gpu, { layers: 2, vocabularySize: 64 });
  const cache = model.createCache(1100);
  const step = async (id: number) => {
    const result = model.forward([id], { cache });
    result.hidden.dispose();
    const logits = result.logits as Tensor;
    const [top] = await gpu.read([logits]);
    logits.dispose();
    return (top as Float32Array).reduce((best, value, index, row) => (value > (row[best] as number) ? index : best), 0);
  };
  let id = 1;
  for (let warmUp = 0; warmUp < 16; warmUp++) id = await step(id);
  const before = gpu.stats();
  for (let count = 0; count < 1000; count++) id = await step(id);
  const after = gpu.stats();
  expect(after.liveBytes).toBe(before.liveBytes);
  expect(after.buffersCreated).toBe(before.buffersCreated);
  expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
  expect(after.pipelinesCreated).toBe(before.pipelinesCreated);
  expect(after.readbacks - before.readbacks).toBe(1000);
  model.dispose();
  cache.dispose();
  expect(gpu.stats().liveBytes).toBe(0);
  gpu.dispose();
}, 120_000);
