import { ArgumentError, type TextSpan } from '@saccade/core';

/** Finds the words of a question that tell what to look for: characters [from, to) of each. Nouns, names, verbs, adjectives, adverbs and numbers in the paper. */
export type InformativeWords = (question: string) => readonly (readonly [from: number, to: number])[];

/**
 * Positions of the tokens that share a character with an informative word, ascending, each once; all of the question where there is none.
 * The first token of a text is left out: no row stands before it.
 *
 * @throws ArgumentError for characters that the question does not have
 */
export function informativePositions(question: TextSpan, informative?: InformativeWords): number[] {
  const { text, positions, characters } = question;
  const words = informative?.(text) ?? [];
  for (const [from, to] of words) {
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to <= from || to > text.length)
      throw new ArgumentError(
        'gift: a word of informative',
        `[${from}, ${to}]`,
        `characters within 0 to ${text.length}`,
      );
  }
  const behindOthers = positions.filter((position) => position > 0);
  const chosen = positions.filter((position, index) => {
    const [start, end] = characters[index] as readonly [number, number];
    return position > 0 && words.some(([from, to]) => start < to && from < end);
  });
  return chosen.length > 0 ? chosen : behindOthers;
}
