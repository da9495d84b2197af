import type { Mask } from '../attention/mask.ts';
import type { AttentionOptions } from '../attention/types.ts';
import { RefusedError } from '../errors.ts';
import type { AttentionRestriction } from './contexts.ts';

/**
 * A mask narrowed by a restriction, never widened.
 *
 * @param who Whose restriction it is, for the error.
 * @throws RefusedError for a second list of tokens or blocks: the engine follows one.
 */
export function restrict(options: AttentionOptions, restriction: AttentionRestriction, who: string): AttentionOptions {
  const { tokens, blocks, slidingWindow, mask } = restriction;
  if ((tokens || blocks) && (options.tokens || options.blocks)) {
    throw new RefusedError(`${who} restricts attention to a list of keys where one is in force already.`);
  }
  return {
    ...options,
    ...(tokens ? { tokens } : {}),
    ...(blocks ? { blocks } : {}),
    ...(mask ? { mask: both(options.mask, mask) } : {}),
    ...(slidingWindow === undefined
      ? {}
      : { slidingWindow: Math.min(slidingWindow, options.slidingWindow ?? slidingWindow) }),
  };
}

function both(own: Mask | undefined, further: Mask): Mask {
  return own ? { kind: 'allOf', parts: [own, further] } : further;
}
