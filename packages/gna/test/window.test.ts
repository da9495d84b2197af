import { ArgumentError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { neighborhoodMask, neighborhoodWindow } from '../src/index.ts';

const starts = (length: number, window: number, stride: number, causal = false) =>
  Array.from({ length }, (_, at) => neighborhoodWindow(at, length, window, stride, causal).start);

describe('check 1: windows by hand', () => {
  it.each([
    [6, 3, 1, [0, 0, 1, 2, 3, 3]],
    [8, 4, 2, [0, 0, 1, 1, 3, 3, 4, 4]],
    [8, 5, 3, [0, 0, 0, 2, 2, 2, 3, 3]],
    [8, 4, 4, [0, 0, 0, 0, 4, 4, 4, 4]],
  ])('starts on %i tokens, window %i, stride %i', (length, window, stride, expected) => {
    expect(starts(length, window, stride)).toEqual(expected);
    for (let at = 0; at < length; at++) {
      const { start, end } = neighborhoodWindow(at, length, window, stride);
      expect(end - start).toBe(window);
    }
  });

  it('causal', () => {
    expect(starts(8, 4, 2, true)).toEqual([0, 0, 0, 0, 2, 2, 4, 4]);
    expect(Array.from({ length: 8 }, (_, at) => neighborhoodWindow(at, 8, 4, 2, true).end)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
  });

  it('refuses what does not fit', () => {
    expect(() => neighborhoodWindow(0, 8, 1)).toThrow(ArgumentError);
    expect(() => neighborhoodWindow(0, 8, 9)).toThrow(/up to 8/);
    expect(() => neighborhoodWindow(0, 8, 4, 5)).toThrow(/1 to the window/);
    expect(() => neighborhoodWindow(8, 8, 4)).toThrow(/\[0, 7\]/);
    expect(() => neighborhoodMask([8, 8], { window: [4, 4, 4] })).toThrow(/one value, or 2/);
    expect(() => neighborhoodMask([8, 8], { window: 4, dilation: 3 })).toThrow(/dilation 3/);
    expect(() => neighborhoodMask([2, 2, 2, 2], { window: 2 })).toThrow(/1 to 3/);
  });
});

describe('check 3: who sees whom', () => {
  const layout = [6, 9];
  const options = { window: [4, 5], stride: [2, 3] };
  const mask = neighborhoodMask(layout, options);
  const row = (query: number) => Array.from(mask.subarray(query * 54, query * 54 + 54));

  it('every query sees as many keys as the window holds', () => {
    for (let query = 0; query < 54; query++) expect(row(query).reduce((sum, seen) => sum + seen, 0)).toBe(20);
  });

  it('queries of a stride group see the same keys, and neighbours of other groups do not', () => {
    for (let y = 0; y < 6; y++) {
      for (let x = 0; x < 9; x++) {
        const leader = Math.floor(y / 2) * 2 * 9 + Math.floor(x / 3) * 3;
        expect(row(y * 9 + x)).toEqual(row(leader));
      }
    }
    expect(row(0)).not.toEqual(row(3));
  });

  it('a mask of two axes is the outer product of two masks of one', () => {
    const first = neighborhoodMask([6], { window: 4, stride: 2 });
    const second = neighborhoodMask([9], { window: 5, stride: 3 });
    for (let query = 0; query < 54; query++) {
      for (let key = 0; key < 54; key++) {
        const both =
          (first[Math.floor(query / 9) * 6 + Math.floor(key / 9)] as number) &
          (second[(query % 9) * 9 + (key % 9)] as number);
        expect(mask[query * 54 + key]).toBe(both);
      }
    }
  });

  it('dilated grids are interleaved, and no key stands behind a causal query', () => {
    const dilated = neighborhoodMask([12], { window: 4, dilation: 3 });
    const causal = neighborhoodMask([12], { window: 4, stride: 2, causal: true });
    for (let query = 0; query < 12; query++) {
      for (let key = 0; key < 12; key++) {
        expect(dilated[query * 12 + key]).toBe(query % 3 === key % 3 ? 1 : 0);
        if (key > query) expect(causal[query * 12 + key]).toBe(0);
      }
    }
  });
});
