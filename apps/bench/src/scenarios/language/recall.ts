import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext } from '../../scenario.ts';
import { languageModel } from './language-model.ts';
import type { Passage } from './passages.ts';
import { recallTask } from './recall-task.ts';
import { PassageScorer } from './score-passages.ts';

/** Names of each list that are asked for. */
const questions = { full: 16, quick: 8 } as const;

/** `language/recall`: multi-query key-value recall in context. */
export const languageRecall: Scenario = {
  name: 'language/recall',
  title: 'Recall of many pairs',
  description:
    'A list of invented names with a number each fills the context, which is run densely once (by methods that act on it, with them). Then names of ' +
    'the list follow in another order, each with its number, teacher-forced; a number counts as recalled where every digit is the most probable ' +
    'token. KL divergence is over all tokens of that part; a repeat is a list, of which 16 names are asked for (8 in a quick run).',
  needs: 'language',
  phases: ['decode'],
  lengths: { full: [512, 1024], quick: [512] },
  budgets: { full: [0.05, 0.1, 0.25], quick: [0.1, 0.25] },
  repeats: { full: 4, quick: 2 },
  async *run(context) {
    for (const length of context.lengths) yield* measureLength(context, length);
  },
};

async function* measureLength(context: ScenarioContext, length: number): AsyncGenerator<ResultRow> {
  const model = languageModel(context);
  const variants = context.variants(length);
  const { signal, progress, repeats, quick } = context;
  progress.total(repeats + variants.length);
  const passages: Passage[] = [];
  try {
    for (let repeat = 0; repeat < repeats; repeat++) {
      progress.advance(1, `list ${repeat + 1} of ${repeats}, ${length} tokens`);
      const task = recallTask(model, length, quick ? questions.quick : questions.full, context.seed + repeat);
      const { continuation, answers } = task;
      const prompt = await model.prefill(task.context, { reserve: continuation.length, signal });
      passages.push({ prompt, continuation, answers });
    }
    const scorer = new PassageScorer(model, passages, context.seed);
    for (const variant of variants) {
      progress.advance(1, `${variant.entry.name}, ${length} tokens`);
      yield await context.measure(variant, { contextLength: length }, () => scorer.measure(variant.create, signal));
    }
  } finally {
    for (const { prompt } of passages) prompt.dispose();
  }
}
