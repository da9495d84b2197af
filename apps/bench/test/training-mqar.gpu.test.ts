import { readFileSync } from 'node:fs';
import { BasedModel, recallModel } from '@saccade/based';
import { AdamW, Initializer, train } from '@saccade/core/nn';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { planRun } from '../src/plan.ts';
import { Registry } from '../src/registry.ts';
import type { ResultRow } from '../src/result-file/types.ts';
import { runScenario } from '../src/run-scenario.ts';
import { recallScenario } from '../src/scenarios/training/mqar.ts';
import { fullRecipe, type RecallRecipe } from '../src/scenarios/training/recall-recipe.ts';
import { recallLoss, trainingBatch } from '../src/scenarios/training/train-recall.ts';

const golden = JSON.parse(readFileSync(new URL('golden/recall-losses.json', import.meta.url), 'utf8')) as Record<
  string,
  number[]
>;

it('the first losses of a Based model are PyTorch’s, from the same seeds', async () => {
  const gpu = await sharedGpu();
  const { vocabularySize, hiddenSize, warmup } = fullRecipe;
  const sizes = { vocabularySize, hiddenSize, featureDim: 16, windowSize: 16, contextLength: 128 };
  const model = new BasedModel(new Initializer(gpu, { seed: 1 }), recallModel('based', sizes));
  const optimizer = new AdamW(model.parameters(), { learningRate: 1e-2, betas: [0.9, 0.95], weightDecay: 0.1 });
  const { entries } = await train({
    module: model,
    optimizer,
    steps: 12,
    loss: ({ step }) => recallLoss(model, trainingBatch(fullRecipe, 1, step)),
    clip: 1,
    schedule: (step) => (step + 1) / warmup,
  });
  const found = entries.map(({ loss }) => loss);
  for (const each of [optimizer, model]) each.dispose();
  assertClose(found, (golden.based as number[]).slice(0, found.length), { relative: 1e-4 });
});

it('trains every mixer with every learning rate, asks each task, and leaves nothing behind', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const task = { length: 16, pairs: 2 };
  const recipe: RecallRecipe = {
    vocabularySize: 24,
    hiddenSize: 8,
    tokensPerStep: 64,
    steps: 3,
    warmup: 1,
    learningRates: [1e-2, 1e-3],
    easySteps: 1,
    trained: [task],
    tested: [task, { length: 16, pairs: 4 }],
    testExamples: 6,
  };
  const name = 'training/test';
  const scenario = recallScenario(name, 'A test', '', { full: recipe, quick: recipe });
  const registry = new Registry({ scenarios: [scenario], methods: [], models: [] });
  const request = { scenarios: [name], models: [], methods: [], lengths: [16], repeats: 2, seed: 0, quick: true };
  const plan = planRun(registry, request);
  const rows: ResultRow[] = [];
  for (const { model: _, ...item } of plan.items) {
    const run = { ...item, ...plan, gpu, signal: new AbortController().signal, progress: { total() {}, advance() {} } };
    for await (const row of runScenario(run)) rows.push(row);
  }
  expect(rows.map(({ method, options, status }) => [method, options.pairs, status])).toEqual(
    ['dense', 'based', 'based-linear', 'based-window'].flatMap((method) =>
      [2, 4].map((pairs) => [method, pairs, 'ok']),
    ),
  );
  for (const { quality, samples, options, memory } of rows) {
    expect(quality.accuracy).toMatchObject({ n: 2 });
    expect(samples).toBe(2 * 6 * (options.pairs as number));
    expect(memory.cacheBytes).toBeGreaterThan(0);
  }
  expect(gpu.stats().liveBytes).toBe(before);
});
