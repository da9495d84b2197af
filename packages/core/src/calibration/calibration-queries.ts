import { ArgumentError } from '../errors.ts';
import type { ModelHandle, PromptCache, RunOptions } from '../protocol/model-handle.ts';

/** How texts are walked over. */
export interface CalibrationOptions extends Pick<RunOptions, 'signal' | 'onProgress'> {
  /** Tokens at the end of each text that are decoded one by one and looked at. Default 4. */
  readonly queries?: number;
}

/** A token that is to be decoded behind a prompt; whoever takes it appends it to the cache. */
export interface CalibrationQuery {
  /** Everything before the token, run densely. */
  readonly prompt: PromptCache;
  readonly token: number;
}

/**
 * The last tokens of each text, one by one, behind what precedes them. Between two queries of a text the token must have
 * been run on `prompt.kv`.
 *
 * @param texts Token ids; each longer than `leastTokens`.
 * @throws ArgumentError for no texts, short texts, or no queries.
 */
export async function* calibrationQueries(
  model: ModelHandle,
  texts: readonly (readonly number[])[],
  options: CalibrationOptions & { readonly leastTokens?: number } = {},
): AsyncGenerator<CalibrationQuery, void, void> {
  const { queries = 4, leastTokens = 1, signal, onProgress } = options;
  if (!(Number.isInteger(queries) && queries >= 1)) {
    throw new ArgumentError('queries', queries, 'an integer of 1 or more');
  }
  const least = Math.max(leastTokens, queries);
  if (texts.length === 0 || texts.some((text) => text.length <= least)) {
    const lengths = texts.map((text) => text.length);
    throw new ArgumentError('texts', lengths, `at least one text, each of more than ${least} tokens`);
  }
  for (const [index, text] of texts.entries()) {
    const split = text.length - queries;
    const prompt = await model.prefill(text.slice(0, split), { reserve: queries, ...(signal ? { signal } : {}) });
    try {
      for (let at = split; at < text.length; at++) {
        signal?.throwIfAborted();
        yield { prompt, token: text[at] as number };
        onProgress?.((index + (at - split + 1) / queries) / texts.length);
      }
    } finally {
      prompt.dispose();
    }
  }
}
