import {
  type CompanionSequence,
  EncodedPrompt,
  type ForwardCompanion,
  type MethodRun,
  type PromptFeatures,
  RefusedError,
  type TokenInput,
} from '@saccade/core';
import type { LanguageModel } from './language-model.ts';

/** Tokens of a prompt that run in one pass: bounds the memory of activations. */
export const chunkTokens = 512;

/** Default room behind a prompt, in tokens. */
export const defaultReserve = 256;

/** Features of a prompt between two positions. */
export interface FeatureRange {
  readonly features: PromptFeatures;
  readonly start: number;
  readonly end: number;
}

/** What one pass of a prefill runs of one sequence. */
export interface PassPart {
  readonly ids: readonly number[];
  readonly features: FeatureRange | undefined;
}

/** What one pass of a prefill runs. */
export interface PrefillPass extends PassPart {
  readonly companions: readonly (Omit<ForwardCompanion, 'tokens' | 'features'> & PassPart)[];
}

/** A prompt of ids alone as one that may know more. */
export function asEncoded(prompt: readonly number[] | EncodedPrompt): EncodedPrompt {
  return prompt instanceof EncodedPrompt ? prompt : new EncodedPrompt(prompt);
}

/**
 * The passes in which tokens run behind `length` cached ones, with the companions of the run, which this starts where the
 * prompt begins. With companions all sequences take equally many passes, so that their last tokens meet in the last one.
 *
 * @throws RefusedError as {@link refuseCompanions}
 */
export function prefillPasses(
  model: LanguageModel,
  run: MethodRun,
  length: number,
  prompt: EncodedPrompt,
  reserve = defaultReserve,
): PrefillPass[] {
  refuseCompanions(run, length);
  const started = length > 0 ? run.companions : undefined;
  const companions = started ?? run.startCompanions(model, prompt, reserve);
  const texts = companions.map((companion) =>
    started ? prompt : (companion.prompt ?? new EncodedPrompt(companion.ids)),
  );
  for (const [index, { cache }] of companions.entries()) {
    const needed = cache.length + (texts[index] as EncodedPrompt).ids.length;
    if (needed > cache.capacity) cache.grow(needed + reserve);
  }
  const lengths = [prompt, ...texts].map(({ ids }) => ids.length);
  const size = run.wholePrompt ? Number.POSITIVE_INFINITY : chunkTokens;
  const passes = Math.min(Math.max(Math.ceil(Math.max(...lengths) / size), 1), ...lengths);
  return Array.from({ length: passes }, (_, pass) => ({
    ...(companions.length === 0
      ? range(prompt, pass * chunkTokens, pass === passes - 1 ? prompt.ids.length : (pass + 1) * chunkTokens)
      : part(prompt, pass, passes)),
    companions: companions.map(({ cache, withMethods = false }, index) => ({
      cache,
      withMethods,
      ...part(texts[index] as EncodedPrompt, pass, passes),
    })),
  }));
}

/** @throws RefusedError where a method wants companions and the first `length` tokens of the prompt were run without them */
export function refuseCompanions(run: MethodRun, length: number): void {
  if (run.companions || length === 0) return;
  const names = run.methods.filter((method) => method.companions).map(({ name }) => name);
  throw new RefusedError(
    `${names.join(', ')} runs further sequences beside the prompt from its first token on; give the prompt itself, not a prefill.`,
  );
}

/** One further token of a sequence and of its companions; makes room for it in their caches. */
export function withCompanions(companions: readonly CompanionSequence[], tokens: TokenInput): ForwardCompanion[] {
  return companions.map(({ cache, withMethods = false }) => {
    if (cache.length === cache.capacity) cache.grow(cache.capacity + defaultReserve);
    return { tokens, cache, withMethods };
  });
}

/** The part of a text that a pass runs, where each gets as many tokens as the others, or one more. */
function part(prompt: EncodedPrompt, pass: number, passes: number): PassPart {
  const end = (count: number) => Math.floor((prompt.ids.length * count) / passes);
  return range(prompt, end(pass), end(pass + 1));
}

function range({ ids, features }: EncodedPrompt, start: number, end: number): PassPart {
  return { ids: ids.slice(start, end), features: features && { features, start, end } };
}
