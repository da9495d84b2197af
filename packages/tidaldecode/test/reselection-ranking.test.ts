import type { LayerOverlap } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { expectedRecall, rankReselectionLayers } from '../src/index.ts';

/** Overlap 0.9 inside two blocks of layers, 0.1 across: the second block begins at layer 4 of 8. */
const profile: LayerOverlap = {
  layers: 8,
  topK: 16,
  samples: 1,
  overlap: Float32Array.from({ length: 64 }, (_, index) => {
    const [row, column] = [Math.floor(index / 8), index % 8];
    if (row === column) return 1;
    return row < 4 === column < 4 ? 0.9 : 0.1;
  }),
};

describe('ranking of re-selection layers', () => {
  it('is the mean overlap of each sparse layer with the selection handed to it', () => {
    // s = 1, c = 4: layers 2, 3 read the list of 1; layers 5, 6, 7 that of 4.
    expect(expectedRecall(profile, 1, [4])).toBeCloseTo(0.9, 6);
    // c = 6: layers 2, 3 read well, 4 and 5 badly, 7 well.
    expect(expectedRecall(profile, 1, [6])).toBeCloseTo((3 * 0.9 + 2 * 0.1) / 5, 6);
    expect(expectedRecall(profile, 1, [4, 6])).toBeCloseTo(0.9, 6);
    expect(expectedRecall(profile, 6, [7])).toBe(1);
  });

  it('recommends the first layer of the second block', () => {
    const ranked = rankReselectionLayers(profile, 1);
    expect(ranked[0]?.layer).toBe(4);
    expect(ranked.map((candidate) => candidate.layer).sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7]);
  });
});
