import type { AttentionOptions } from '../attention/types.ts';
import { RefusedError } from '../errors.ts';
import type { AttentionRestriction } from './contexts.ts';

/**
 * A mask narrowed by a restriction, never widened.
 *
 * @throws RefusedError when both are token lists: two lists cannot be intersected without a pass of their own.
 */
export function restrict(options: AttentionOptions, restriction: AttentionRestriction, who: string): AttentionOptions {
  const { tokens, slidingWindow } = restriction;
  if (tokens && options.tokens) {
    throw new RefusedError(`${who} restricts attention to a token list where one is in force already.`);
  }
  return {
    ...options,
    ...(tokens ? { tokens } : {}),
    ...(slidingWindow === undefined
      ? {}
      : { slidingWindow: Math.min(slidingWindow, options.slidingWindow ?? slidingWindow) }),
  };
}
