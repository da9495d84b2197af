import { ArgumentError, type GenerateOptions } from '@saccade/core';

/** Generation options with defaults filled in. */
export interface ResolvedGenerateOptions {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
  readonly seed: number;
  readonly stop: readonly string[];
  readonly ignoreEndOfText: boolean;
  /** Undefined: none. */
  readonly logprobs: number | undefined;
}

/** Most tokens per step whose log-probabilities are read. */
const mostLogprobs = 1024;

/** @throws ArgumentError for a value out of its range. */
export function resolveGenerateOptions(options: GenerateOptions): ResolvedGenerateOptions {
  const resolved = {
    maxTokens: options.maxTokens ?? 128,
    temperature: options.temperature ?? 0,
    topK: options.topK ?? 0,
    topP: options.topP ?? 1,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    seed: options.seed ?? 0,
    stop: typeof options.stop === 'string' ? [options.stop] : (options.stop ?? []),
    ignoreEndOfText: options.ignoreEndOfText ?? false,
    logprobs: options.logprobs,
  };
  const { maxTokens, temperature, topK, topP, repetitionPenalty, seed, logprobs } = resolved;
  if (!(Number.isInteger(maxTokens) && maxTokens >= 1))
    throw new ArgumentError('maxTokens', maxTokens, 'an integer of 1 or more');
  if (!(temperature >= 0 && Number.isFinite(temperature)))
    throw new ArgumentError('temperature', temperature, '0 (greedy) or more');
  if (!(Number.isInteger(topK) && topK >= 0))
    throw new ArgumentError('topK', topK, 'an integer of 1 or more, or 0 for all tokens');
  if (!(topP > 0 && topP <= 1)) throw new ArgumentError('topP', topP, 'a number in (0, 1]');
  if (!(repetitionPenalty > 0 && Number.isFinite(repetitionPenalty))) {
    throw new ArgumentError('repetitionPenalty', repetitionPenalty, 'a number over 0');
  }
  if (!Number.isSafeInteger(seed) || seed < 0) throw new ArgumentError('seed', seed, 'an integer of 0 or more');
  if (logprobs !== undefined && !(Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= mostLogprobs))
    throw new ArgumentError('logprobs', logprobs, `an integer from 0 to ${mostLogprobs}`);
  return resolved;
}

/** @throws ArgumentError where a prompt that was run before brings a cache of its own */
export function refuseCacheOptions({ cache }: GenerateOptions): void {
  if (cache) throw new ArgumentError('cache', 'given with an earlier prefill', 'an option of that prefill');
}
