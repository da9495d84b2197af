import type { LanguageModel } from '@saccade/models';

/** Continues several texts at once. */
export async function continueAll(model: LanguageModel, prompts: readonly string[]): Promise<string[]> {
  const texts = [...prompts];
  for await (const piece of model.generate(prompts, { maxTokens: 20 })) texts[piece.index] += piece.text;
  return texts;
}
