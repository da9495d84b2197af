import type { Mask } from '../attention/mask.ts';
import type { AttentionOptions } from '../attention/types.ts';
import { RefusedError } from '../errors.ts';
import type { AttentionChange } from './contexts.ts';

/** What an attention call takes once; where a method sets it, no other may. */
const single = ['keyMultipliers', 'normalizer', 'givenProbabilities', 'keyRowCounter'] as const;

/**
 * The options of a call as a method changes them: narrowed, never widened; its score modifiers behind those in force.
 *
 * @param who Whose change it is, for the error.
 * @throws RefusedError for a second list of tokens or blocks, and for a second set of multipliers or normalizers
 */
export function change(options: AttentionOptions, wanted: AttentionChange, who: string): AttentionOptions {
  const { tokens, blocks, slidingWindow, mask, scoreModifiers } = wanted;
  if ((tokens || blocks) && (options.tokens || options.blocks)) {
    throw new RefusedError(`${who} restricts attention to a list of keys where one is in force already.`);
  }
  for (const name of single) {
    if (wanted[name] && options[name]) throw new RefusedError(`${who} sets ${name}, which are set already.`);
  }
  return {
    ...options,
    ...(tokens ? { tokens } : {}),
    ...(blocks ? { blocks } : {}),
    ...(mask ? { mask: both(options.mask, mask) } : {}),
    ...(scoreModifiers ? { scoreModifiers: [...(options.scoreModifiers ?? []), ...scoreModifiers] } : {}),
    ...Object.fromEntries(single.flatMap((name) => (wanted[name] ? [[name, wanted[name]]] : []))),
    ...(slidingWindow === undefined
      ? {}
      : { slidingWindow: Math.min(slidingWindow, options.slidingWindow ?? slidingWindow) }),
  };
}

/** @throws RefusedError where scores are modified: a second pass computes probabilities of plain scores. */
export function assertPlainScores({ scoreModifiers = [] }: AttentionOptions, who: string): void {
  if (scoreModifiers.length > 0) {
    throw new RefusedError(`${who} asks for statistics of attention, but its scores are modified here.`);
  }
}

function both(own: Mask | undefined, further: Mask): Mask {
  return own ? { kind: 'allOf', parts: [own, further] } : further;
}
