import { type GenerateOptions, openGpu } from '@saccade/core';
import { expect, it } from 'vitest';
import { loadLanguageModel } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';
import { handingOn } from './handing-on.ts';

/** Ways to generate that take different paths; they alternate. */
const ways: readonly GenerateOptions[] = [
  {},
  { method: handingOn },
  { temperature: 0.9, topK: 12, topP: 0.9 },
  { method: handingOn, repetitionPenalty: 1.4 },
];

it('load, 200 generations with changing methods, and dispose: live bytes return to zero, and buffers are reused', async () => {
  const gpu = await openGpu();
  const model = await loadLanguageModel(gpu, goldenPath('llama-gguf/model.gguf'));
  const loaded = gpu.stats().liveBytes;
  const prompt = await model.prefill([5, 9, 2, 44, 17, 80], { reserve: 2 });
  const prefilled = gpu.stats().liveBytes;
  let created = 0;
  for (let count = 0; count < 200; count++) {
    const way = ways[count % ways.length] as GenerateOptions;
    // Every third goes on from the shared prompt, every fifth is given up behind its first token.
    const from = count % 3 === 0 ? prompt : [1 + (count % 7), 8, 30];
    for await (const _ of model.generate(from, { ...way, seed: count, maxTokens: 4, ignoreEndOfText: true })) {
      if (count % 5 === 0) break;
    }
    expect([count, gpu.stats().liveBytes]).toEqual([count, prefilled]);
    // By then each way has run from either kind of prompt.
    if (count === 60) created = gpu.stats().buffersCreated;
  }
  expect(gpu.stats().buffersCreated).toBe(created);
  prompt.dispose();
  expect(gpu.stats().liveBytes).toBe(loaded);
  model.dispose();
  expect(gpu.stats().liveBytes).toBe(0);
  gpu.dispose();
});
