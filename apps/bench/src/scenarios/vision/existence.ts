import { heldOutSample, negativeKinds, renderScene } from '@saccade/tiny-models';
import type { ImageQuestion } from '../../method-entry.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { Answerer } from './answers.ts';
import { blindBaselines } from './entries.ts';
import { existenceScores } from './scores.ts';
import { promptTokens, visionModel } from './vision-model.ts';

/** Levels that the model sees well enough to be tempted rather than lost. */
const levels = [4, 5] as const;

/** `vision/existence`: is there an object, with absent ones of three kinds. */
export const visionExistence: Scenario = {
  name: 'vision/existence',
  title: 'Is it there?',
  description:
    'Held-out scenes of levels 4 and 5 are asked for two shapes that they show and two that they do not, as POPE does: absent ones are drawn ' +
    'at random, by how often they occur, or by how often they occur with what the scene shows (options.negatives). Yes is the positive answer; a repeat is an image, ' +
    'and intervals are bootstrapped over images.',
  needs: 'vision',
  phases: ['prefill'],
  ownMethods: blindBaselines,
  telling: ['negatives'],
  lengths: { full: [promptTokens], quick: [promptTokens] },
  budgets: { full: [0.25, 0.5], quick: [0.5] },
  repeats: { full: 60, quick: 10 },
  async *run(context) {
    const model = visionModel(context);
    const variants = context.variants(promptTokens);
    const images = Array.from({ length: context.repeats }, (_, index) => {
      const level = levels[index % levels.length] as (typeof levels)[number];
      const { scene, questions } = heldOutSample(level, index, 'objects', context.seed);
      return { image: renderScene(scene), questions: questions.filter(({ kind }) => kind === 'existence') };
    });
    context.progress.total(variants.length * images.length);
    const answerer = new Answerer(model, context.signal);
    try {
      for (const variant of variants) yield* scoreVariant(context, answerer, variant, images);
    } finally {
      await answerer.dispose();
    }
  },
};

type Asked = ReturnType<typeof heldOutSample>['questions'];

async function* scoreVariant(
  context: ScenarioContext,
  answerer: Answerer,
  variant: Variant,
  images: readonly { readonly image: ImageQuestion['image']; readonly questions: Asked }[],
): AsyncGenerator<ResultRow> {
  // What is asked with one kind of absent nouns may be asked with another too: it is answered once.
  const known = images.map(() => new Map<string, string>());
  let counted = 0;
  for (const negatives of negativeKinds) {
    yield await context.measure(variant, { negatives }, async () => {
      const answered = [];
      for (const [index, { image, questions }] of images.entries()) {
        const answers = known[index] as Map<string, string>;
        const own = questions.filter((question) => question.negatives === negatives);
        for (const { text } of own) {
          if (!answers.has(text)) answers.set(text, await answerer.answer(variant, { image, text }, 3));
        }
        answered.push(own.map(({ text, answer }) => ({ truth: answer, given: answers.get(text) as string })));
        if (counted < images.length) {
          counted++;
          context.progress.advance(1, variant.entry.name);
        }
      }
      const samples = answered.flat().length;
      return { samples, density: null, quality: existenceScores(answered), speed: {}, memory: {} };
    });
  }
}
