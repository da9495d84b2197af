import {
  type CompanionSequence,
  type ForwardCompanion,
  type MethodRun,
  RefusedError,
  type TokenInput,
} from '@saccade/core';
import type { LanguageModel } from './language-model.ts';

/** Tokens of a prompt that run in one pass: bounds the memory of activations. */
export const chunkTokens = 512;

/** Default room behind a prompt, in tokens. */
export const defaultReserve = 256;

/** What one pass of a prefill runs. */
export interface PrefillPass {
  readonly ids: readonly number[];
  readonly companions: readonly ForwardCompanion[];
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
  ids: readonly number[],
  reserve = defaultReserve,
): PrefillPass[] {
  refuseCompanions(run, length);
  const started = length > 0 ? run.companions : undefined;
  const companions = started ?? run.startCompanions(model, ids, reserve);
  const texts = companions.map((companion) => (started ? ids : companion.ids));
  for (const [index, { cache }] of companions.entries()) {
    const needed = cache.length + (texts[index] as readonly number[]).length;
    if (needed > cache.capacity) cache.grow(needed + reserve);
  }
  const lengths = [ids, ...texts].map((text) => text.length);
  const size = run.wholePrompt ? Number.POSITIVE_INFINITY : chunkTokens;
  const passes = Math.min(Math.max(Math.ceil(Math.max(...lengths) / size), 1), ...lengths);
  return Array.from({ length: passes }, (_, pass) => ({
    ids:
      companions.length === 0
        ? ids.slice(pass * chunkTokens, pass === passes - 1 ? undefined : (pass + 1) * chunkTokens)
        : part(ids, pass, passes),
    companions: companions.map((companion, index) => ({
      ...companion,
      tokens: part(texts[index] as readonly number[], pass, passes),
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
function part(ids: readonly number[], pass: number, passes: number): readonly number[] {
  const end = (count: number) => Math.floor((ids.length * count) / passes);
  return ids.slice(end(pass), end(pass + 1));
}
