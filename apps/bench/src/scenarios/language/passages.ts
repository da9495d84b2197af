import type { PromptCache } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';
import { evaluationText } from '../../data/text.ts';

/** A stretch of text whose context has been run densely and whose next tokens are decoded by each variant. */
export interface Passage {
  readonly prompt: PromptCache;
  readonly continuation: readonly number[];
  /** Stretches of the continuation, [from, to), that must be predicted; each counts as right or wrong. */
  readonly answers?: readonly (readonly [from: number, to: number])[];
}

export interface PassagePlan {
  readonly count: number;
  /** Tokens of context. */
  readonly length: number;
  /** Tokens that follow. */
  readonly continuation: number;
  readonly signal: AbortSignal;
  /** Called before each passage. */
  readonly onPassage: (number: number) => void;
}

/** Passages spread evenly over the evaluation text. The caller disposes their prompts. */
export async function preparePassages(model: LanguageModel, plan: PassagePlan): Promise<Passage[]> {
  const ids = model.tokenizer.encode(evaluationText());
  const stride = Math.floor((ids.length - plan.length - plan.continuation) / plan.count);
  const passages: Passage[] = [];
  try {
    for (let index = 0; index < plan.count; index++) {
      plan.onPassage(index + 1);
      const start = index * stride;
      const split = start + plan.length;
      const prompt = await model.prefill(ids.slice(start, split), { reserve: plan.continuation, signal: plan.signal });
      passages.push({ prompt, continuation: ids.slice(split, split + plan.continuation) });
    }
    return passages;
  } catch (error) {
    for (const { prompt } of passages) prompt.dispose();
    throw error;
  }
}
