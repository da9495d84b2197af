import { argmax, type Tensor } from '@saccade/core';
import { crossEntropy, scale, sum } from '@saccade/core/autodiff';
import { AdamW, associativeRecall, cosineSchedule, Initializer, train } from '@saccade/core/nn';
import { sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { BasedModel, type RecallMixer, recallModel } from '../src/index.ts';

const task = { vocabulary: 24, length: 16, pairs: 3 };
const examples = 64;
const steps = 150;

/** Share of values recalled by a model that was trained for a few seconds. */
async function recallOf(mixer: RecallMixer): Promise<number> {
  const gpu = await sharedGpu();
  const sizes = { vocabularySize: 24, hiddenSize: 32, featureDim: 8, windowSize: 4, contextLength: 16 };
  const model = new BasedModel(new Initializer(gpu, { seed: 1 }), recallModel(mixer, sizes));
  const optimizer = new AdamW(model.parameters(), { learningRate: 0.02, betas: [0.9, 0.95], weightDecay: 0.1 });
  await train({
    module: model,
    optimizer,
    steps,
    loss: ({ step }) => {
      const { inputs, targets } = associativeRecall({ ...task, examples, seed: 1, stream: step });
      const logits = model.forward(gpu.tensor(inputs, [examples, task.length], 'u32'));
      const wanted = gpu.tensor(targets, [inputs.length], 'u32');
      const losses = crossEntropy(logits.reshape([inputs.length, task.vocabulary]), wanted);
      return scale(sum(losses), 1 / (examples * task.pairs));
    },
    clip: 1,
    schedule: cosineSchedule({ steps, warmup: 10 }),
  });
  const { inputs, targets } = associativeRecall({ ...task, examples, seed: 2 });
  const said = gpu.tidy(() => argmax(model.forward(gpu.tensor(inputs, [examples, task.length], 'u32')) as Tensor));
  const ids = Array.from(await said.read());
  for (const each of [said, optimizer, model]) each.dispose();
  return ids.reduce((hits, id, at) => hits + Number(id === targets[at]), 0) / (examples * task.pairs);
}

describe('check 6: associative recall, learned from random weights', () => {
  it('Based answers nearly always, a window smaller than the gaps does not', async () => {
    const [based, window] = [await recallOf('based'), await recallOf('window')];
    expect(based).toBeGreaterThan(0.95);
    expect(window).toBeLessThan(based - 0.1);
  });
});
