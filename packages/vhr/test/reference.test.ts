import { OptionError } from '@saccade/core';
import { randomArray } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { defaultLayers, tokenDivergence, visionAwareHeadReinforcement } from '../src/index.ts';
import { headDivergence, removeSurgingHeads, selectHeads } from '../src/reference.ts';

describe('check 3: half of the heads', () => {
  it.each([32, 8])('of %i', (heads) => {
    const divergence = Array.from(randomArray(heads, heads), Math.abs);
    expect(selectHeads(divergence)).toHaveLength(heads / 2);
  });

  it.each([1, 2, 4])('also where %i of 8 are zeroed', (zeroed) => {
    const divergence = Array.from({ length: 8 }, (_, head) => (head < zeroed ? 0 : head + 1));
    expect(selectHeads(divergence)).toEqual([4, 5, 6, 7]);
  });
});

describe('check 4: outliers', () => {
  const divergence = [1, 1, 1, 1, 1, 1, 1, 9];

  it('are heads that also surge without the image', () => {
    const cleared = removeSurgingHeads(divergence, [1, 1, 1, 1, 1, 1, 1, 50]);
    expect(cleared).toEqual([1, 1, 1, 1, 1, 1, 1, 0]);
    expect(selectHeads(cleared)).toEqual([]);
  });

  it('but not those that only diverge', () => {
    const cleared = removeSurgingHeads(divergence, new Array(8).fill(1));
    expect(cleared).toEqual(divergence);
    expect(selectHeads(cleared)).toEqual([7]);
  });
});

it('check 2: without divergence no head is over the median', () => {
  expect(selectHeads(new Array(8).fill(0))).toEqual([]);
  expect(headDivergence([[1, 2]], [[1, 2]])).toEqual([0]);
});

describe('check 5: scaling a contribution turns the sum toward it', () => {
  const cosine = (a: readonly number[], b: readonly number[]) => {
    const dot = (p: readonly number[], q: readonly number[]) => p.reduce((sum, x, d) => sum + x * (q[d] as number), 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  const turned = (x: readonly number[], y: readonly number[], alpha: number) =>
    cosine(
      x.map((value, d) => value + (alpha - 1) * (y[d] as number)),
      y,
    );

  it('as in the example', () => {
    expect([1, 2, 3].map((alpha) => turned([1, 1], [1, 0], alpha).toFixed(4))).toEqual(['0.7071', '0.8944', '0.9487']);
  });

  it('for random vectors, and away from it under 1', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const [x, y] = [Array.from(randomArray(12, seed)), Array.from(randomArray(12, 100 + seed))];
      expect(turned(x, y, 2)).toBeGreaterThan(cosine(x, y));
      expect(turned(x, y, 0.5)).toBeLessThan(cosine(x, y));
    }
  });
});

it('the layers of 32 are the published ones, and other depths have their share', () => {
  expect(defaultLayers(32)).toEqual([1, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]);
  expect(defaultLayers(6)).toEqual([1, 3, 4, 5]);
  expect(defaultLayers(1)).toEqual([0]);
});

it('a token’s divergence sums the largest of each layer', () => {
  expect(
    tokenDivergence(
      [
        [1, 5, 3],
        [2, 0, 4],
      ],
      2,
    ),
  ).toBe(14);
});

it.each([{ alpha: 0 }, { alpha: -2 }, { layers: { from: 0.5, to: 0.2 } }, { beta: 1 }])('refuses %j', (options) => {
  expect(() => visionAwareHeadReinforcement(options as never)).toThrow(OptionError);
});
