import { ArgumentError, openGpu } from '@saccade/core';
import { expect, it } from 'vitest';
import { randomLlama } from '../src/testing/index.ts';

it('after warming up, a generation compiles nothing', async () => {
  const gpu = await openGpu();
  try {
    const model = await randomLlama(gpu, { vocabularySize: 64, contextLength: 256 });
    const prompt = Array.from({ length: 40 }, (_, index) => index);
    const before = gpu.stats();
    expect(await model.warmUp({ promptTokens: prompt.length })).toBeGreaterThan(5);
    const warm = gpu.stats();
    expect(warm.liveBytes).toBe(before.liveBytes);
    for await (const _ of model.generate(prompt, { maxTokens: 3, ignoreEndOfText: true }));
    expect(gpu.stats().pipelinesCreated).toBe(warm.pipelinesCreated);
    await expect(model.warmUp({ promptTokens: 256 })).rejects.toThrow(ArgumentError);
    model.dispose();
  } finally {
    gpu.dispose();
  }
});
