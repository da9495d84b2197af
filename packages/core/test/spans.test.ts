import { describe, expect, it } from 'vitest';
import { EncodedPrompt, type ImageSpan, imagePositions, missingSpans, type PromptSpans } from '../src/index.ts';

/** s s < i i i i > q q, then an image in two tiles with an overview, then q. */
const first: ImageSpan = { image: 0, start: 2, end: 8, rows: 2, columns: 2, positions: [3, 4, 5, 6] };
const second: ImageSpan = {
  image: 1,
  start: 10,
  end: 17,
  rows: 1,
  columns: 4,
  positions: [11, 12, 14, 15],
  overview: { rows: 1, columns: 1, positions: [16] },
};
const spans: PromptSpans = {
  length: 18,
  system: {
    start: 0,
    end: 2,
    positions: [0, 1],
    text: 'ab',
    characters: [
      [0, 1],
      [1, 2],
    ],
  },
  images: [first, second],
  question: {
    start: 8,
    end: 18,
    positions: [8, 9, 17],
    text: 'cde',
    characters: [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
  },
};

describe('spans of a prompt', () => {
  it('tell the tokens of an image, an overview included', () => {
    expect(imagePositions(first)).toEqual([3, 4, 5, 6]);
    expect(imagePositions(second)).toEqual([11, 12, 14, 15, 16]);
  });

  it('that are missing are named', () => {
    expect(missingSpans(['image', 'question', 'system'], spans)).toEqual([]);
    expect(missingSpans(['image', 'question'], { length: 3, images: [] })).toEqual(['image', 'question']);
    expect(missingSpans(['image'], undefined)).toEqual(['image']);
  });

  it('close up where images are taken out, markers and all', () => {
    const ids = Array.from({ length: 18 }, (_, index) => 100 + index);
    const plain = new EncodedPrompt(ids, { spans, rotary: { axes: [ids], offset: -3 } }).withoutImages();
    expect(plain.ids).toEqual([100, 101, 108, 109, 117]);
    expect(plain.rotary).toBeUndefined();
    expect(plain.spans).toEqual({
      length: 5,
      images: [],
      system: spans.system,
      question: { ...spans.question, start: 2, end: 5, positions: [2, 3, 4] },
    });
    expect(plain.withoutImages().ids).toEqual(plain.ids);
  });
});
