import { expect, it } from 'vitest';
import { descriptionScores, exactness, existenceScores, namedNouns } from '../src/scenarios/vision/scores.ts';

const estimate = (measure: unknown) => (measure as { value: number }).value;

it('existence is scored as POPE does, whatever is not yes being no', () => {
  const images = [
    [
      { truth: 'yes', given: 'yes' },
      { truth: 'yes', given: 'no' },
      { truth: 'no', given: 'Yes.' },
    ],
    [
      { truth: 'no', given: 'perhaps' },
      { truth: 'no', given: 'no' },
      { truth: 'yes', given: 'yes' },
    ],
  ];
  const { accuracy, precision, recall, f1, yesRatio } = existenceScores(images);
  expect(estimate(accuracy)).toBeCloseTo(4 / 6, 12);
  expect(estimate(precision)).toBeCloseTo(2 / 3, 12);
  expect(estimate(recall)).toBeCloseTo(2 / 3, 12);
  expect(estimate(f1)).toBeCloseTo(2 / 3, 12);
  expect(estimate(yesRatio)).toBeCloseTo(3 / 6, 12);
  // The interval goes over the two images, of which one has 1 of 3 right and the other all.
  expect(accuracy).toEqual({ value: 4 / 6, low: 1 / 3, high: 1, n: 2 });
});

it('a precision without positives has no value', () => {
  const scores = existenceScores([[{ truth: 'yes', given: 'no' }]]);
  expect(scores.precision).toBeUndefined();
  expect(estimate(scores.recall)).toBe(0);
  expect(estimate(scores.yesRatio)).toBe(0);
});

it('descriptions are scored as CHAIR does, with what is found beside what is made up', () => {
  const scores = descriptionScores([
    { text: 'red star, blue ring, red star.', present: ['star', 'moon'] },
    { text: 'green moon.', present: ['moon'] },
  ]);
  expect(estimate(scores.chairSentence)).toBe(1 / 2);
  expect(estimate(scores.chairInstance)).toBe(1 / 4);
  expect(estimate(scores.recall)).toBeCloseTo(2 / 3, 12);
  expect(estimate(scores.words)).toBe(4);
  expect(namedNouns('Starring a cup, cups and a Bow')).toEqual(['cup', 'bow']);
});

it('descriptions that name nothing make nothing up, and say so by their recall', () => {
  const scores = descriptionScores([{ text: '', present: ['star'] }]);
  expect(estimate(scores.chairSentence)).toBe(0);
  expect(scores.chairInstance).toBeUndefined();
  expect(estimate(scores.recall)).toBe(0);
});

it('other answers are right in every word or wrong', () => {
  const quality = exactness([
    [
      { truth: 'top left', given: 'top left' },
      { truth: 'top left', given: 'top' },
    ],
    [{ truth: '4 7', given: '4 7' }],
  ]);
  expect(estimate(quality.accuracy)).toBeCloseTo(2 / 3, 12);
});
