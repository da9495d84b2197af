import { heldOutSample, levels, type QuestionKind, renderScene, type SceneSample } from '@saccade/tiny-models';
import type { ImageQuestion } from '../../method-entry.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { Answerer } from './answers.ts';
import { showAttention } from './attention-pictures.ts';
import { blindBaselines } from './entries.ts';
import { exactness } from './scores.ts';
import { promptTokens, visionModel } from './vision-model.ts';

/** Kinds of questions that have one right answer. */
const kinds: readonly QuestionKind[] = ['count', 'colour', 'position', 'relation', 'number', 'chart'];

/** Tokens of the longest answer, three digits, and its end. */
const mostTokens = 5;

/** `vision/hard`: accuracy against clutter. */
export const visionHard: Scenario = {
  name: 'vision/hard',
  title: 'Accuracy in clutter',
  description:
    'Held-out scenes of five levels, from a few shapes to heaps in noise, are asked how many, which colour, where, how two shapes lie, what number is shown and how ' +
    'high bars are; an answer must be right in every word. Rows are by level over all kinds (options.level), and by kind over all levels (options.questions). ' +
    'A repeat is a scene of each level, and intervals are bootstrapped over scenes.',
  needs: 'vision',
  phases: ['prefill'],
  ownMethods: blindBaselines,
  telling: ['level', 'questions'],
  lengths: { full: [promptTokens], quick: [promptTokens] },
  budgets: { full: [0.25, 0.5], quick: [0.5] },
  repeats: { full: 30, quick: 3 },
  async *run(context) {
    const model = visionModel(context);
    const variants = context.variants(promptTokens);
    const samples = levels.flatMap((level) =>
      Array.from({ length: context.repeats }, (_, index) => heldOutSample(level, index, 'any', context.seed)),
    );
    context.progress.total(variants.length * samples.length);
    const answerer = new Answerer(model, context.signal);
    try {
      for (const variant of variants) yield* scoreVariant(context, answerer, variant, samples);
    } finally {
      await answerer.dispose();
    }
    await showAttention(context, model, variants);
  },
};

/** A question, its answer, and what was answered. */
interface Asked {
  readonly kind: QuestionKind;
  readonly truth: string;
  readonly given: string;
}

async function* scoreVariant(
  context: ScenarioContext,
  answerer: Answerer,
  variant: Variant,
  samples: readonly SceneSample[],
): AsyncGenerator<ResultRow> {
  const asked: (Asked[] | undefined)[] = [];
  const measure = (extra: Readonly<Record<string, unknown>>, holds: (sample: SceneSample, each: Asked) => boolean) =>
    context.measure(variant, extra, async () => {
      for (const [index, sample] of samples.entries()) {
        if (asked[index]) continue;
        asked[index] = await askAll(answerer, variant, sample);
        context.progress.advance(1, variant.entry.name);
      }
      const chosen = samples
        .map((sample, index) => (asked[index] ?? []).filter((each) => holds(sample, each)))
        .filter((some) => some.length > 0);
      const count = chosen.flat().length;
      return { samples: count, density: null, quality: count > 0 ? exactness(chosen) : {}, speed: {}, memory: {} };
    });
  for (const level of levels) yield await measure({ level }, (sample) => sample.level === level);
  for (const questions of kinds) yield await measure({ questions }, (_, { kind }) => kind === questions);
}

async function askAll(answerer: Answerer, variant: Variant, { scene, questions }: SceneSample): Promise<Asked[]> {
  const image: ImageQuestion['image'] = renderScene(scene);
  const found: Asked[] = [];
  for (const { kind, text, answer } of questions) {
    if (!kinds.includes(kind)) continue;
    found.push({ kind, truth: answer, given: await answerer.answer(variant, { image, text }, mostTokens) });
  }
  return found;
}
