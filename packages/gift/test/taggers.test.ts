import nlp from 'compromise';
import { expect, it } from 'vitest';
import { type InformativeWords, informativePositions } from '../src/informative.ts';

/* As the README shows it. */
const tags = ['Noun', 'Verb', 'Adjective', 'Adverb', 'Value'];
interface Term {
  readonly text: string;
  readonly tags: readonly string[];
  readonly offset: { readonly start: number; readonly length: number };
}
const informative: InformativeWords = (question) =>
  (nlp(question).json({ offset: true }) as { terms: Term[] }[])
    .flatMap(({ terms }) => terms)
    .filter((term) => term.tags.some((tag) => tags.includes(tag)))
    .map(({ offset }) => [offset.start, offset.start + offset.length]);

const words = (question: string) => informative(question).map(([from, to]) => question.slice(from, to));

it('a part-of-speech tagger (compromise) finds the words that count, and where they stand', () => {
  expect(words('Which colour is the big car of Anna and the two old houses?')).toEqual([
    'colour',
    'is',
    'big',
    'car',
    'Anna',
    'two',
    'old',
    'houses',
  ]);
});

it('several sentences, marks and repeated words keep their places', () => {
  const question = '  A dog!  Is the dog, the small one, asleep?';
  const found = informative(question);
  expect(words(question).filter((word) => word === 'dog')).toHaveLength(2);
  for (const [from, to] of found) expect(question.slice(from, to)).toMatch(/^\w+$/);
});

it('picks the tokens of these words', () => {
  const text = 'Is the cat red?';
  // A token for each word, with the space before it; the first token of a text never counts.
  const characters = [
    [0, 2],
    [2, 6],
    [6, 10],
    [10, 14],
    [14, 15],
  ] as const;
  const question = { text, positions: [0, 1, 2, 3, 4], characters };
  expect(informativePositions(question as never, informative)).toEqual([2, 3]);
});

it('a question without such words counts as a whole', () => {
  const question = {
    text: 'Of the?',
    positions: [3, 4, 5],
    characters: [
      [0, 2],
      [2, 6],
      [6, 7],
    ],
  };
  expect(informativePositions(question as never, informative)).toEqual([3, 4, 5]);
});
