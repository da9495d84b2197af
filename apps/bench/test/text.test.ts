import { expect, it } from 'vitest';
import { calibrationText, evaluationText } from '../src/data/text.ts';

it('ships enough prose for evaluation and calibration, disjoint', () => {
  expect(evaluationText().length).toBeGreaterThan(150_000);
  expect(calibrationText().length).toBeGreaterThan(150_000);
  expect(evaluationText().startsWith('Chapter 1\n\nSir Walter Elliot')).toBe(true);
  expect(calibrationText().startsWith('Chapter 13\n\n')).toBe(true);
  expect(evaluationText()).not.toContain(calibrationText().slice(0, 200));
});

it('is clean text', () => {
  const text = evaluationText() + calibrationText();
  expect(text).toMatch(/^[\x20-\x7e\n]*$/);
  expect(text).not.toMatch(/ {2}|\n{3}|gutenberg/i);
});
