import type { LanguageModel } from '@saccade/models';

/** How many texts of a length can be continued together within a budget of bytes. */
export async function largestBatch(model: LanguageModel, context: number, budget: number): Promise<number> {
  let batch = 0;
  while ((await model.estimateMemory({ context, batch: batch + 1 })).total <= budget) batch++;
  return batch;
}
