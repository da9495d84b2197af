import { parseOptions } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { sinkThreshold, varOptions } from '../src/index.ts';
import { redistributeReference, sinkScoreReference } from '../src/reference.ts';

const published = { keep: 0.6, minNonSinkRatio: 0.5, minVisualMass: 0.2 };

/** The row of the third check: BOS, image tokens s, v2, v3, a text token. */
const handRow = [0.3, 0.2, 0.2, 0.1, 0.2];
const handImage = [false, true, true, true, false];
const handSinks = [true, true, false, false, false];

function close(actual: readonly number[], expected: readonly number[], digits = 4) {
  expect(actual).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) expect(actual[index]).toBeCloseTo(value, digits);
}

it('check 3: the hand case', () => {
  close(redistributeReference(handRow, handImage, handSinks, published), [0.18, 0.12, 1 / 3, 1 / 6, 0.2]);
});

it('check 3: at a ratio of 0.8 the head is not selected', () => {
  expect(redistributeReference(handRow, handImage, handSinks, { ...published, minNonSinkRatio: 0.8 })).toEqual(handRow);
});

it('check 1: sinks that keep everything, or none at all, change nothing', () => {
  close(redistributeReference(handRow, handImage, handSinks, { ...published, keep: 1 }), handRow, 12);
  expect(
    redistributeReference(
      handRow,
      handImage,
      handRow.map(() => false),
      published,
    ),
  ).toEqual(handRow);
});

describe('check 6: heads that look at the image, not those with the largest visual mass', () => {
  it('A is selected: 0.012 moves', () => {
    close(
      redistributeReference([0.03, 0.27, 0.7], [true, true, false], [true, false, false], published),
      [0.018, 0.282, 0.7],
    );
  });

  it('B is not', () => {
    const row = [0.81, 0.09, 0.1];
    expect(redistributeReference(row, [true, true, false], [true, false, false], published)).toEqual(row);
  });
});

it('check 4: one dimension of 4,096 crosses 20 at 21.05, and none exceeds 64', () => {
  const score = (magnitude: number) => {
    const residual = new Array<number>(4096).fill(1);
    residual[1415] = magnitude;
    return sinkScoreReference(residual, [1415, 2533]);
  };
  expect(score(21.04)).toBeLessThan(20);
  expect(score(21.06)).toBeGreaterThan(20);
  expect(score(1e9)).toBeLessThanOrEqual(64);
});

it('the default threshold can be reached in small models', () => {
  const options = parseOptions(varOptions, {});
  expect(sinkThreshold(options, { hiddenSize: 4096 })).toBe(20);
  expect(sinkThreshold(options, { hiddenSize: 64 })).toBe(4);
  expect(sinkThreshold(parseOptions(varOptions, { threshold: 7 }), { hiddenSize: 64 })).toBe(7);
});
