import { describe, expect, it } from 'vitest';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionBackwardReference,
  attentionReference,
  randomArray,
} from '../src/testing/index.ts';

const sizes = { batches: 2, heads: 4, kvHeads: 2, queries: 3, keys: 5, headSize: 3 };
const count = (heads: number, rows: number) => sizes.batches * heads * rows * sizes.headSize;

/** f64 copies, so that finite differences are not those of rounded numbers. */
const input: AttentionReferenceInput = {
  ...sizes,
  q: Float64Array.from(randomArray(count(4, 3), 1)),
  k: Float64Array.from(randomArray(count(2, 5), 2)),
  v: Float64Array.from(randomArray(count(2, 5), 3)),
};
const dOut = randomArray(count(4, 3), 4);
const rows = (of: number) => Array.from({ length: 2 * 4 * of }, (_, index) => 0.5 + (index % 7) / 5);

/** The loss whose gradient by the output is dOut. */
function loss(given: AttentionReferenceInput): number {
  return attentionReference(given).output.reduce((sum, value, index) => sum + value * (dOut[index] as number), 0);
}

function differences(given: AttentionReferenceInput, name: 'q' | 'k' | 'v'): number[] {
  const step = 1e-5;
  return Array.from(given[name], (_, index) => {
    const moved = (by: number) => {
      const values = Float64Array.from(given[name]);
      values[index] = (values[index] as number) + by;
      return loss({ ...given, [name]: values });
    };
    return (moved(step) - moved(-step)) / (2 * step);
  });
}

describe('attentionBackwardReference', () => {
  it.each<[string, Partial<AttentionReferenceInput>]>([
    ['plain, grouped heads', {}],
    ['causal with a scale', { causal: true, scale: 0.9 }],
    ['rows that see nothing', { causal: true, queryOffset: -1 }],
    ['lengths per batch entry', { keyLength: [5, 2], queryLength: [1, 3], causal: true }],
    ['a window', { causal: true, slidingWindow: 2 }],
    [
      'soft-cap, ALiBi, sinks',
      {
        scoreModifiers: [
          { kind: 'alibi', slopes: [0.1, 0.2, 0.3, 0.4] },
          { kind: 'softCap', cap: 0.7 },
          { kind: 'sinks', logits: [0.5, -1, 0, 2] },
        ],
      },
    ],
    ['multipliers before the normalisation', { keyMultipliers: { factors: rows(5), renormalise: true } }],
    ['multipliers behind it', { keyMultipliers: { factors: rows(5), renormalise: false } }],
    ['a mask', { mask: { kind: 'not', part: { kind: 'strided', stride: 2 } } }],
  ])('equals finite differences: %s', (_, change) => {
    const given = { ...input, ...change };
    const { dq, dk, dv } = attentionBackwardReference(dOut, given);
    for (const [name, gradient] of [
      ['q', dq],
      ['k', dk],
      ['v', dv],
    ] as const) {
      const expected = differences(given, name);
      expect(expected.some((value) => Math.abs(value) > 1e-3)).toBe(true);
      assertClose(gradient, expected, { absolute: 1e-8, name });
    }
  });
});
