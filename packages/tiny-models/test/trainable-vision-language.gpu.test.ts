import { readFileSync } from 'node:fs';
import { AdamW, Initializer, train } from '@saccade/core/nn';
import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { scenesConfig, TrainableVisionLanguageModel } from '../src/index.ts';
import { setInitialWeights, type WarmUpTokens, warmUp, warmUpBatch } from '../training/warm-up.ts';

const warmUpFile = new URL('golden/scenes-warm-up.json', import.meta.url);
const tokens = JSON.parse(readFileSync(warmUpFile, 'utf8')) as WarmUpTokens;

/** Steps whose losses are compared; one takes seconds on a software adapter. */
const repeated = Number(process.env.SACCADE_REPEATED_STEPS ?? 3);

it("repeats PyTorch's first losses from the same seeds, and leaves nothing behind", { timeout: 600_000 }, async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const model = new TrainableVisionLanguageModel(new Initializer(gpu), scenesConfig);
  setInitialWeights(model);
  const { learningRate, betas, weightDecay, clip } = warmUp;
  const groups = [{ match: /norm|bias/, weightDecay: 0 }];
  const optimizer = new AdamW(model.parameters(), { learningRate, betas, weightDecay, groups });
  const { entries } = await train({
    module: model,
    optimizer,
    steps: repeated,
    clip,
    reportEvery: 5,
    schedule: (step) => (step + 1) / warmUp.steps,
    loss: ({ step }) => model.loss(warmUpBatch(gpu, tokens, step)),
  });
  expect(entries).toHaveLength(repeated);
  for (const { step, loss } of entries) {
    const expected = tokens.losses[step] as number;
    expect(Math.abs(loss / expected - 1), `step ${step}: ${loss}, PyTorch: ${expected}`).toBeLessThan(0.01);
  }
  expect(entries.at(-1)?.loss).toBeLessThan(0.9 * (entries[0]?.loss as number));
  for (const each of [optimizer, model]) each.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});
