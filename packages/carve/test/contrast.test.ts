import { ArgumentError, ShapeError } from '@saccade/core';
import { assertClose, seededRandom } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { contrastAttention, fuseMaps, isFlat } from '../src/index.ts';
import { fuseReference } from '../src/reference.ts';

function uniform(count: number, seed: number, [from, to]: readonly [number, number]): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => from + (to - from) * random());
}

const peakOf = (values: ArrayLike<number>) => Array.from(values).indexOf(Math.max(...Array.from(values)));

it('check 1: the example', () => {
  const contrast = contrastAttention([0.1, 0.4, 0.3, 0.2], [0.1, 0.1, 0.3, 0.2], 1e-8);
  assertClose(contrast, [1, 4, 1, 1], { absolute: 1e-6 });
});

it('check 2: what the image alone draws cancels out', () => {
  const [visual, semantic] = [uniform(64, 1, [1e-3, 0.1]), uniform(64, 2, [0, 0.9])];
  // A bright distractor that the question is not about, and a dark place that it is about.
  [visual[5], semantic[5], visual[40], semantic[40]] = [1, 0.5, 1e-3, 1];
  const task = visual.map((value, token) => value * (semantic[token] as number));
  const contrast = contrastAttention(task, visual);
  const bound = 1e-8 / (Math.min(...visual) + 1e-8);
  contrast.forEach((value, token) => {
    const wanted = semantic[token] as number;
    expect(Math.abs(value - wanted)).toBeLessThanOrEqual(wanted * bound * (1 + 1e-6) + 1e-15);
  });
  expect(bound).toBeLessThanOrEqual(1e-5);
  expect(peakOf(task)).toBe(5);
  expect(peakOf(contrast)).toBe(40);
});

describe('check 3: equal attention', () => {
  const grid = { rows: 4, columns: 6 };
  const size = { height: 9, width: 11 };
  const general = uniform(24, 3, [1e-3, 1]);

  it('is flat, and told to be', () => {
    const contrast = contrastAttention(general, general);
    contrast.forEach((value, token) => {
      expect(value).toBeCloseTo(1 - 1e-8 / ((general[token] as number) + 1e-8), 12);
    });
    assertClose(contrast, new Array(24).fill(1), { absolute: 1e-5 });
    const map = fuseMaps([[contrast]], grid, size);
    expect(isFlat(map, map)).toBe(true);
  });

  it('also where lambda bends it, which its spread alone does not tell', () => {
    const contrast = contrastAttention(general, general, 1e-3);
    const map = fuseMaps([[contrast]], grid, size);
    expect(isFlat(map)).toBe(false);
    expect(isFlat(map, map)).toBe(true);
  });

  it('but attention that differs is not flat', () => {
    const unchanged = fuseMaps([[contrastAttention(general, general)]], grid, size);
    const task = general.map((value, token) => (token === 9 ? value * 1.01 : value));
    const map = fuseMaps([[contrastAttention(task, general)]], grid, size);
    expect(isFlat(map, unchanged)).toBe(false);
  });
});

it('check 8: the ratio minimises the objective', () => {
  const [task, general] = [uniform(12, 4, [0, 1]), uniform(12, 5, [0.01, 1])];
  const lambda = 0.01;
  const contrast = contrastAttention(task, general, lambda);
  const objective = (x: ArrayLike<number>) =>
    general.reduce((sum, g, token) => {
      const [value, t] = [x[token] as number, task[token] as number];
      return sum + (value * g - t) ** 2 + lambda * value ** 2 * g;
    }, 0);
  const step = 1e-5;
  contrast.forEach((value, token) => {
    const moved = (by: number) => {
      const x = Float64Array.from(contrast);
      x[token] = value + by;
      return objective(x);
    };
    expect(Math.abs((moved(step) - moved(-step)) / (2 * step))).toBeLessThan(1e-6);
  });
});

describe('check 7: fusing', () => {
  it('weighs steps by time', () => {
    const map = new Array<number>(12).fill(2.5);
    const maps = Array.from({ length: 5 }, () => [map, map, map]);
    const size = { height: 7, width: 10 };
    assertClose(fuseMaps(maps, { rows: 3, columns: 4 }, size), new Array(70).fill((2.5 * 3 * 5 * 6) / 2), {
      relative: 1e-6,
    });
    assertClose(fuseMaps(maps, { rows: 3, columns: 4 }, size, 'uniform'), new Array(70).fill(2.5 * 3 * 5), {
      relative: 1e-6,
    });
  });

  it.each([
    [3, 4, 7, 10],
    [2, 5, 2, 5],
    [6, 6, 4, 3],
    [1, 1, 3, 2],
  ])('a grid of %i x %i to %i x %i pixels, as the reference', (rows, columns, height, width) => {
    const maps = [0, 1, 2].map((step) => [0, 1].map((layer) => uniform(rows * columns, 10 * step + layer + 1, [0, 3])));
    assertClose(
      fuseMaps(maps, { rows, columns }, { height, width }),
      fuseReference(maps, [rows, columns], [height, width]),
      { relative: 1e-6 },
    );
  });
});

it('refuses what does not fit', () => {
  expect(() => contrastAttention([1, 2], [1])).toThrow(ShapeError);
  expect(() => contrastAttention([1], [1], 0)).toThrow(ArgumentError);
  expect(() => fuseMaps([[[1, 2, 3]]], { rows: 2, columns: 2 }, { height: 2, width: 2 })).toThrow(ShapeError);
  expect(() => fuseMaps([], { rows: 2, columns: 2 }, { height: 2, width: 2 })).toThrow(ArgumentError);
});
