import { type BasedConfig, recallModel, stateBytes } from '@saccade/based';
import { basedEntry, linearAloneEntry, mixerOfEntry, windowAloneEntry } from '@saccade/based/bench';
import { bootstrapMean } from '@saccade/core';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { fullRecipe, paperRecipe, quickRecipe, type RecallRecipe, type RecallTask } from './recall-recipe.ts';
import { recallAccuracy, type TrainedRecall, trainRecall } from './train-recall.ts';

interface Recipes {
  readonly full: RecallRecipe;
  readonly quick: RecallRecipe;
}

const lengthsOf = ({ tested }: RecallRecipe) => [...new Set(tested.map(({ length }) => length))];

/** A scenario that learns and asks what its recipes say. */
export function recallScenario(name: string, title: string, about: string, recipes: Recipes): Scenario {
  return {
    name,
    title,
    description:
      `Models of two convolutions and two mixers are trained from random weights to say each key’s value again (multi-query associative recall). ${about} ` +
      'The dense row is full attention; a repeat is a seed of weights and examples, intervals go over seeds; cache bytes are what a model keeps ' +
      'of one sequence of the task’s length.',
    needs: 'none',
    phases: ['prefill'],
    ownMethods: [basedEntry, linearAloneEntry, windowAloneEntry],
    lengths: { full: lengthsOf(recipes.full), quick: lengthsOf(recipes.quick) },
    budgets: { full: [1], quick: [1] },
    repeats: { full: 3, quick: 1 },
    run: (context) => runRecipe(context, context.quick ? recipes.quick : recipes.full),
  };
}

/** `training/mqar`: recall against the size of the state. */
export const trainingMqar = recallScenario(
  'training/mqar',
  'Recall against the size of the state',
  'All lengths and numbers of pairs are learned by one model.',
  { full: fullRecipe, quick: quickRecipe },
);

/** `training/mqar-figure-2`: the same at the paper's sizes. */
export const trainingMqarFigure2 = recallScenario(
  'training/mqar-figure-2',
  'Recall against the size of the state, at the paper’s sizes',
  'Vocabulary, examples and steps are those of figure 2 of the paper: hours on a GPU.',
  { full: paperRecipe, quick: { ...paperRecipe, steps: 2250 } },
);

async function* runRecipe(context: ScenarioContext, recipe: RecallRecipe): AsyncGenerator<ResultRow> {
  const here = ({ length }: RecallTask) => context.lengths.includes(length);
  const own = { ...recipe, trained: recipe.trained.filter(here), tested: recipe.tested.filter(here) };
  const variants = context.variants(Math.max(...context.lengths));
  context.progress.total(variants.length * context.repeats * recipe.learningRates.length * recipe.steps);
  for (const variant of variants) {
    const config = modelOf(variant, own);
    let scores: Promise<number[][]> | undefined;
    for (const [at, task] of own.tested.entries()) {
      const extra = { contextLength: task.length, pairs: task.pairs, steps: recipe.steps };
      yield await context.measure(variant, extra, async () => {
        // Trained for the first row, asked for each.
        scores ??= scoresOfSeeds(context, own, config, variant);
        const accuracies = (await scores).map((ofSeed) => ofSeed[at] as number);
        return {
          samples: accuracies.length * own.testExamples * task.pairs,
          density: null,
          quality: { accuracy: bootstrapMean(accuracies) },
          speed: {},
          memory: { cacheBytes: stateBytes(config, task.length) },
        };
      });
    }
  }
}

/** Accuracies of all tasks, by seed. */
async function scoresOfSeeds(
  context: ScenarioContext,
  recipe: RecallRecipe,
  config: BasedConfig,
  { entry }: Variant,
): Promise<number[][]> {
  const scores: number[][] = [];
  for (let repeat = 0; repeat < context.repeats; repeat++) {
    const { model } = await bestOfRates(context, recipe, config, `${entry.title}, seed ${repeat + 1}`, repeat);
    try {
      const own: number[] = [];
      for (const task of recipe.tested) own.push(await recallAccuracy(model, recipe, task));
      scores.push(own);
    } finally {
      model.dispose();
    }
  }
  return scores;
}

/** The model that learned best. */
async function bestOfRates(
  { gpu, seed, signal, progress }: ScenarioContext,
  recipe: RecallRecipe,
  config: BasedConfig,
  label: string,
  repeat: number,
): Promise<TrainedRecall> {
  let best: TrainedRecall | undefined;
  for (const learningRate of recipe.learningRates) {
    let done = 0;
    const onStep = (step: number, loss: number) => {
      progress.advance(step - done, `${label}, rate ${learningRate}: loss ${loss.toFixed(2)}`);
      done = step;
    };
    const run = { gpu, recipe, model: config, seed: seed + repeat + 1, learningRate, signal, onStep };
    const trained = await trainRecall(run).catch((error: unknown) => {
      best?.model.dispose();
      throw error;
    });
    const [kept, other] = best && best.loss <= trained.loss ? [best, trained] : [trained, best];
    other?.model.dispose();
    best = kept;
  }
  return best as TrainedRecall;
}

function modelOf(
  { entry, options }: Variant,
  { vocabularySize, hiddenSize, tested, trained }: RecallRecipe,
): BasedConfig {
  const contextLength = Math.max(...[...tested, ...trained].map(({ length }) => length));
  const { featureDim = 16, windowSize = 16 } = options as { featureDim?: number; windowSize?: number };
  const mixer = mixerOfEntry[entry.name] ?? 'attention';
  return recallModel(mixer, { vocabularySize, hiddenSize, featureDim, windowSize, contextLength });
}
