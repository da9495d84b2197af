import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext } from '../../scenario.ts';
import { languageModel } from './language-model.ts';
import { preparePassages } from './passages.ts';
import { PassageScorer } from './score-passages.ts';

/** Tokens of each passage that are predicted one by one. */
const continuationTokens = { full: 64, quick: 24 } as const;

/** `language/perplexity`: teacher-forced decoding of a novel behind contexts of several lengths. */
export const languagePerplexity: Scenario = {
  name: 'language/perplexity',
  title: 'Perplexity of a novel, decoded token by token',
  description:
    'Passages of Persuasion (Jane Austen): the context is run densely once (by methods that act on it, with them), then each method ' +
    'decodes the passage’s next tokens, ' +
    'teacher-forced. Perplexity, agreement with the dense run’s greedy tokens and KL divergence to it; a repeat is a passage.',
  needs: 'language',
  phases: ['decode'],
  lengths: { full: [512, 1024, 2048], quick: [512] },
  budgets: { full: [0.05, 0.1, 0.25], quick: [0.05, 0.1] },
  repeats: { full: 4, quick: 1 },
  async *run(context) {
    for (const length of context.lengths) yield* measureLength(context, length);
  },
};

async function* measureLength(context: ScenarioContext, length: number): AsyncGenerator<ResultRow> {
  const model = languageModel(context);
  const variants = context.variants(length);
  context.progress.total(context.repeats + variants.length);
  const passages = await preparePassages(model, {
    count: context.repeats,
    length,
    continuation: context.quick ? continuationTokens.quick : continuationTokens.full,
    signal: context.signal,
    onPassage: (number) => context.progress.advance(1, `context ${number} of ${context.repeats}, ${length} tokens`),
  });
  try {
    const scorer = new PassageScorer(model, passages, context.seed);
    for (const variant of variants) {
      context.progress.advance(1, `${variant.entry.name}, ${length} tokens`);
      yield await context.measure(variant, { contextLength: length }, () =>
        scorer.measure(variant.create, context.signal),
      );
    }
  } finally {
    for (const { prompt } of passages) prompt.dispose();
  }
}
