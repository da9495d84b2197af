import { ArgumentError } from '@saccade/core';
import { assertClose, randomArray } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { compressionRatio, inverseVisits, probeRows, savedOperations, savedWithProbes } from '../src/index.ts';
import {
  accumulatedScores,
  importantCount,
  normalizedReference,
  probeProbabilities,
  selectTokens,
} from '../src/reference.ts';

const hand = [
  [1, 0, 0, 0],
  [0.6, 0.4, 0, 0],
  [0.5, 0.1, 0.4, 0],
  [0.4, 0.1, 0.1, 0.4],
];

it('check 2: counts by accumulated scores, chooses by normalised ones', () => {
  const accumulated = accumulatedScores([hand]);
  assertClose(accumulated, [2.5, 0.6, 0.5, 0.4], { absolute: 1e-12 });
  const normalized = normalizedReference(accumulated, [0, 1, 2, 3]);
  assertClose(normalized, [0.625, 0.2, 0.25, 0.4], { absolute: 1e-6 });
  const count = importantCount(accumulated, 0.85);
  expect(count).toBe(3);
  expect(selectTokens(normalized, count)).toEqual([0, 2, 3]);
  expect(selectTokens(accumulated, count)).toEqual([0, 1, 2]);
});

it('check 3: more mass takes no fewer tokens', () => {
  const scores = Array.from(randomArray(50, 4), (value) => value ** 2);
  const counts = [0.1, 0.3, 0.5, 0.9, 0.97, 1].map((tau) => importantCount(scores, tau));
  expect([...counts].sort((a, b) => a - b)).toEqual(counts);
  expect(new Set(counts).size).toBe(counts.length);
});

it('keeps the last token in place of the weakest', () => {
  expect(selectTokens([0.5, 0.4, 0.3, 0], 2, 3)).toEqual([0, 3]);
  expect(selectTokens([0.5, 0.4, 0.3, 0.9], 2, 3)).toEqual([0, 3]);
});

it('probabilities are causal and sum to one', () => {
  const rows = Array.from({ length: 5 }, (_, row) => Array.from(randomArray(4, row)));
  for (const [index, row] of probeProbabilities(rows, rows, [0, 3]).entries()) {
    expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1);
    expect(row.slice(([0, 3][index] as number) + 1).every((value) => value === 0)).toBe(true);
  }
});

describe('probes', () => {
  it('are the newest and random ones before them, the same for a seed', () => {
    const rows = probeRows(100, { recent: 4, random: 6, seed: 3 });
    expect(rows).toHaveLength(10);
    expect(rows.slice(6)).toEqual([96, 97, 98, 99]);
    expect([...new Set(rows)].sort((a, b) => a - b)).toEqual(rows);
    expect(probeRows(100, { recent: 4, random: 6, seed: 3 })).toEqual(rows);
    expect(probeRows(100, { recent: 4, random: 6, seed: 4 })).not.toEqual(rows);
  });

  it('are all rows where there are not more', () => {
    expect(probeRows(3, { recent: 2, random: 2 })).toEqual([0, 1, 2]);
    expect(() => probeRows(3, { recent: 0, random: 0 })).toThrow(ArgumentError);
  });

  it('say how many of them see a key, by the mask and not by value', () => {
    assertClose(inverseVisits(6, [1, 3, 4]), [1 / 3, 1 / 3, 1 / 2, 1 / 2, 1, 0], { absolute: 1e-7 });
  });
});

it('the printed reductions follow from the printed ratios', () => {
  expect(savedOperations(0.421)).toBeCloseTo(0.823, 3);
  expect(compressionRatio(0.286, 4, 2)).toBeCloseTo(6.22, 2);
  expect(compressionRatio(0.7, 4, 2)).toBeCloseTo(4.71, 2);
  expect(savedWithProbes(0.421, 128, 1280)).toBeCloseTo(savedOperations(0.421) - 0.05, 10);
});
