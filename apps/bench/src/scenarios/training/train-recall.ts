import { type BasedConfig, BasedModel } from '@saccade/based';
import { argmax, type Gpu, type Tensor } from '@saccade/core';
import { crossEntropy, scale, sum, type Value } from '@saccade/core/autodiff';
import {
  AdamW,
  type AssociativeRecallBatch,
  associativeRecall,
  cosineSchedule,
  Initializer,
  train,
} from '@saccade/core/nn';
import { type RecallRecipe, type RecallTask, taskOfStep } from './recall-recipe.ts';

/** Apart from all seeds of training, and the same for all models. */
const testSeed = 2 ** 32;

/** Steps at the end whose mean loss is a run's: no example is seen twice, so it is one of unseen examples. */
const lastSteps = 60;

export interface RecallRun {
  readonly gpu: Gpu;
  readonly recipe: RecallRecipe;
  readonly model: BasedConfig;
  /** Of the parameters and of the examples. */
  readonly seed: number;
  readonly learningRate: number;
  readonly signal: AbortSignal;
  readonly onStep?: (step: number, loss: number) => void;
}

/** A model and its mean loss over the last steps. The caller disposes the model. */
export interface TrainedRecall {
  readonly model: BasedModel;
  readonly loss: number;
}

/** Trains a model. @throws DivergedError; the signal's reason */
export async function trainRecall(run: RecallRun): Promise<TrainedRecall> {
  const { gpu, recipe, model: config, seed, learningRate, signal, onStep } = run;
  const { steps, warmup } = recipe;
  const model = new BasedModel(new Initializer(gpu, { seed }), config);
  const optimizer = new AdamW(model.parameters(), { learningRate, betas: [0.9, 0.95], weightDecay: 0.1 });
  try {
    const { entries } = await train({
      module: model,
      optimizer,
      steps,
      loss: ({ step }) => recallLoss(model, trainingBatch(recipe, seed, step)),
      clip: 1,
      schedule: cosineSchedule({ steps, warmup }),
      reportEvery: 20,
      signal,
      onProgress: ({ done, loss }) => onStep?.(done, loss),
    });
    const last = entries.slice(-lastSteps);
    return { model, loss: last.reduce((sum, { loss }) => sum + loss, 0) / last.length };
  } catch (error) {
    model.dispose();
    throw error;
  } finally {
    optimizer.dispose();
  }
}

/** The examples of a training step. */
export function trainingBatch(recipe: RecallRecipe, seed: number, step: number): AssociativeRecallBatch & RecallTask {
  const task = taskOfStep(recipe, step);
  const examples = Math.max(1, Math.floor(recipe.tokensPerStep / task.length));
  return {
    ...task,
    ...associativeRecall({ vocabulary: recipe.vocabularySize, ...task, examples, seed, stream: step }),
  };
}

/** Mean cross-entropy of the values that are asked for. */
export function recallLoss(
  model: BasedModel,
  { inputs, targets, length, pairs }: AssociativeRecallBatch & RecallTask,
): Value {
  const { gpu } = model;
  const rows = inputs.length;
  const logits = model.forward(gpu.tensor(inputs, [rows / length, length], 'u32'));
  const losses = crossEntropy(logits.reshape([rows, -1]), gpu.tensor(targets, [rows], 'u32'));
  return scale(sum(losses), 1 / ((rows / length) * pairs));
}

/** Share of the values that a model says, of examples that it was not trained on. */
export async function recallAccuracy(model: BasedModel, recipe: RecallRecipe, task: RecallTask): Promise<number> {
  const { gpu } = model;
  const { vocabularySize: vocabulary, testExamples: examples } = recipe;
  const stream = task.length * 1000 + task.pairs;
  const { inputs, targets } = associativeRecall({ vocabulary, ...task, examples, seed: testSeed, stream });
  // In parts: logits of all examples at once may not fit.
  const perPart = Math.max(1, Math.floor(recipe.tokensPerStep / task.length));
  let hits = 0;
  for (let first = 0; first < examples; first += perPart) {
    const count = Math.min(perPart, examples - first);
    const from = first * task.length;
    const part = inputs.subarray(from, from + count * task.length);
    const said = gpu.tidy(() => argmax(model.forward(gpu.tensor(part, [count, task.length], 'u32')) as Tensor));
    const ids = await said.read();
    said.dispose();
    ids.forEach((id, at) => {
      if (id === targets[from + at]) hits++;
    });
  }
  return hits / (examples * task.pairs);
}
