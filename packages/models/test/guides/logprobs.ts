import type { LanguageModel } from '@saccade/models';

/** The tokens of an answer that the model was least sure of, with what it would have said instead. */
export async function doubts(model: LanguageModel, prompt: string, below = 0.5): Promise<string[]> {
  const found: string[] = [];
  for await (const { ids, logprobs } of model.generate(prompt, { maxTokens: 20, logprobs: 3 })) {
    if (!logprobs || Math.exp(logprobs.logprob) >= below) continue;
    const others = logprobs.top.map(
      ({ id, logprob }) => `${model.tokenizer.decode([id])} ${Math.exp(logprob).toFixed(2)}`,
    );
    found.push(`${model.tokenizer.decode(ids)}: ${others.join(', ')}`);
  }
  return found;
}
