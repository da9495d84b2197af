import { describeQuestion, heldOutSample, type ObjectScene, presentNouns, renderScene } from '@saccade/tiny-models';
import type { Scenario } from '../../scenario.ts';
import { Answerer } from './answers.ts';
import { blindBaselines } from './entries.ts';
import { type Described, descriptionScores } from './scores.ts';
import { promptTokens, visionModel } from './vision-model.ts';

/** Levels whose scenes are described; descriptions of level 4 are long. */
const levels = [2, 3, 4] as const;

/** Tokens of a description: three per object, and its end. */
const mostTokens = 48;

/** `vision/describe`: descriptions and what they name that is not there. */
export const visionDescribe: Scenario = {
  name: 'vision/describe',
  title: 'What is there?',
  description:
    'Held-out scenes of levels 2 to 4 are described, and the shapes that descriptions name are compared with those that are there, as CHAIR does. ' +
    'Recall is the share of the scenes’ shapes (each counted once) that is named: a method that says less names fewer that are not there. ' +
    'A repeat is an image, and intervals are bootstrapped over images.',
  needs: 'vision',
  phases: ['prefill', 'decode'],
  ownMethods: blindBaselines,
  lengths: { full: [promptTokens], quick: [promptTokens] },
  budgets: { full: [0.25, 0.5], quick: [0.5] },
  repeats: { full: 45, quick: 6 },
  async *run(context) {
    const model = visionModel(context);
    const variants = context.variants(promptTokens);
    const images = Array.from({ length: context.repeats }, (_, index) => {
      const level = levels[index % levels.length] as (typeof levels)[number];
      const scene = heldOutSample(level, index, 'objects', context.seed).scene as ObjectScene;
      return { image: renderScene(scene), present: presentNouns(scene) };
    });
    context.progress.total(variants.length * images.length);
    const answerer = new Answerer(model, context.signal);
    try {
      for (const variant of variants) {
        yield await context.measure(variant, {}, async () => {
          const described: Described[] = [];
          for (const { image, present } of images) {
            const text = await answerer.answer(variant, { image, text: describeQuestion }, mostTokens);
            described.push({ text, present });
            context.progress.advance(1, variant.entry.name);
          }
          return {
            samples: images.length,
            density: null,
            quality: descriptionScores(described),
            speed: {},
            memory: {},
          };
        });
      }
    } finally {
      await answerer.dispose();
    }
  },
};
