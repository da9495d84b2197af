import { ArgumentError, type RgbImage } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { attentionEntropy, colorComplexity, textureComplexity } from '../src/index.ts';

function picture(height: number, width: number, colour: (y: number, x: number) => readonly number[]): RgbImage {
  const pixels = Array.from({ length: height * width }, (_, at) => colour(Math.floor(at / width), at % width));
  return { height, width, data: Uint8Array.from(pixels.flat()) };
}

/** Full colour of a hue in degrees. */
function ofHue(hue: number): number[] {
  return [5, 3, 1].map((n) => {
    const k = (n + hue / 60) % 6;
    return Math.round(255 * (1 - Math.max(0, Math.min(k, 4 - k, 1))));
  });
}

describe('check 9', () => {
  it('a flat image is simple', () => {
    const flat = picture(12, 15, () => [40, 90, 200]);
    expect(textureComplexity(flat)).toBe(0);
    expect(colorComplexity(flat)).toBeCloseTo(0, 12);
  });

  it('all hues alike are as complex as colour gets', () => {
    expect(colorComplexity(picture(4, 180, (_, x) => ofHue(2 * x + 1)))).toBeCloseTo(1, 12);
    expect(colorComplexity(picture(2, 4, (_, x) => ofHue(90 * x + 1)))).toBeCloseTo(Math.log(4) / Math.log(180), 12);
  });
});

it('an edge is one pixel wide, and weak ones count beside strong ones only', () => {
  const edge = (contrast: (y: number) => number) =>
    picture(20, 20, (y, x) => new Array(3).fill(x < 10 ? 100 : 100 + contrast(y)));
  expect(textureComplexity(edge(() => 100))).toBeCloseTo(20 / 400, 12);
  expect(textureComplexity(edge(() => 40))).toBe(0);
  expect(textureComplexity(edge((y) => (y < 10 ? 100 : 40)))).toBeGreaterThan(15 / 400);
  const lying = picture(20, 20, (y) => new Array(3).fill(y < 10 ? 0 : 200));
  expect(textureComplexity(lying)).toBeCloseTo(20 / 400, 12);
});

it('attention’s entropy is ln of the tokens where it is even, and 0 in one', () => {
  expect(attentionEntropy([new Array(64).fill(0.003)])).toBeCloseTo(Math.log(64), 12);
  expect(attentionEntropy([[0, 0.2, 0], new Array(3).fill(1)])).toBeCloseTo(Math.log(3) / 2, 12);
  expect(() => attentionEntropy([])).toThrow(ArgumentError);
  expect(() => attentionEntropy([[0, 0]])).toThrow(ArgumentError);
});
