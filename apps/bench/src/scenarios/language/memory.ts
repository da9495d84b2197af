import { quantizedCache } from '../../baselines/quantized-cache.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext } from '../../scenario.ts';
import { languageModel } from './language-model.ts';
import { preparePassages } from './passages.ts';
import { PassageScorer } from './score-passages.ts';

/** Tokens of each passage that are predicted one by one. */
const continuationTokens = { full: 64, quick: 24 } as const;

/** `language/memory`: what a cache of fewer bits saves and costs. */
export const languageMemory: Scenario = {
  name: 'language/memory',
  title: 'Cache bytes and quality',
  description:
    'Passages of Persuasion (Jane Austen), prompt and continuation under each method, so that what it keeps is what it reads: perplexity and ' +
    'agreement as in language/perplexity, beside the bytes of the cache at the end. A quantized cache is among the methods; its budget is the ' +
    'share of 32 bits. A repeat is a passage.',
  needs: 'language',
  phases: ['prefill', 'decode'],
  ownMethods: [quantizedCache],
  lengths: { full: [512, 1024, 2048], quick: [512] },
  budgets: { full: [0.25, 0.125, 0.0625], quick: [0.25, 0.125, 0.0625] },
  repeats: { full: 4, quick: 1 },
  async *run(context) {
    for (const length of context.lengths) yield* measureLength(context, length);
  },
};

async function* measureLength(context: ScenarioContext, length: number): AsyncGenerator<ResultRow> {
  const model = languageModel(context);
  const variants = context.variants(length);
  const continuation = context.quick ? continuationTokens.quick : continuationTokens.full;
  context.progress.total(context.repeats + variants.length);
  const passages = await preparePassages(model, {
    count: context.repeats,
    length,
    continuation,
    signal: context.signal,
    onPassage: (number) => context.progress.advance(1, `context ${number} of ${context.repeats}, ${length} tokens`),
  });
  try {
    const scorer = new PassageScorer(model, passages, context.seed);
    for (const variant of variants) {
      context.progress.advance(1, `${variant.entry.name}, ${length} tokens`);
      yield await context.measure(variant, { contextLength: length }, async () => {
        const measured = await scorer.measure(variant.create, context.signal);
        const request = { context: length + continuation, newTokens: continuation, method: variant.create() };
        const { cache } = await model.estimateMemory(request);
        return { ...measured, memory: { ...measured.memory, cacheBytes: cache } };
      });
    }
  } finally {
    for (const { prompt } of passages) prompt.dispose();
  }
}
