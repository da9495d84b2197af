import { describe, expect, it } from 'vitest';
import type { LayerRole } from '../src/index.ts';
import {
  attendTo,
  attentionScores,
  type ReferenceLayer,
  selectTopTokens,
  tidalDecodeReference,
} from '../src/reference.ts';

/** A layer of one head whose query matches the key at `position` by `sharpness`; values name their position. */
function pointingLayer(position: number, tokens: number, sharpness = 40): ReferenceLayer {
  const keys = Array.from({ length: tokens }, (_, index) => [index === position ? sharpness : 0, 0]);
  const values = Array.from({ length: tokens }, (_, index) => [index, 1]);
  return { q: [[1, 0]], keys: [keys], values: [values] };
}

describe('reference', () => {
  it('check 5: selection is a set operation: monotone transforms select the same tokens, ties go to the lower index', () => {
    const scores = [3, -1, 7, 7, 0, 3, 2];
    const softmax = scores.map((score) => Math.exp(score) / scores.reduce((sum, other) => sum + Math.exp(other), 0));
    for (let k = 1; k <= scores.length; k++) {
      expect(selectTopTokens(softmax, k, false)).toEqual(selectTopTokens(scores, k, false));
      expect(
        selectTopTokens(
          scores.map((score) => 0.125 * score),
          k,
          false,
        ),
      ).toEqual(selectTopTokens(scores, k, false));
    }
    expect(selectTopTokens(scores, 1, false)).toEqual([2]);
    expect(selectTopTokens(scores, 3, false)).toEqual([0, 2, 3]);
  });

  it('forces the newest token within the budget', () => {
    expect(selectTopTokens([5, 4, 3, 2, 1], 2, true)).toEqual([0, 4]);
    expect(selectTopTokens([5, 4, 3, 2, 1], 2, false)).toEqual([0, 1]);
  });

  it('check 7: a re-selection behind the layer that first knows the needle keeps the answer, before it the answer is lost', () => {
    const tokens = 20;
    const layers = [
      pointingLayer(3, tokens),
      pointingLayer(3, tokens),
      pointingLayer(11, tokens),
      pointingLayer(11, tokens),
    ];
    const dense = tidalDecodeReference(layers, ['dense', 'dense', 'dense', 'dense'], 1, false);
    const late: LayerRole[] = ['select', 'sparse', 'select', 'sparse'];
    const found = tidalDecodeReference(layers, late, 1, false);
    // The needle's value is its position; the leakage of the other tokens is below e^-28.
    expect(found.outputs[3]?.[0]?.[0]).toBeCloseTo(11, 9);
    expect(found.outputs[3]?.[0]?.[0]).toBeCloseTo(dense.outputs[3]?.[0]?.[0] as number, 9);
    const early = tidalDecodeReference(layers, ['select', 'select', 'sparse', 'sparse'], 1, false);
    expect(early.outputs[3]?.[0]?.[0]).toBeCloseTo(3, 9);
  });

  it('check 6: no selection captures more attention mass than the layer’s own top-k; a layer with the same inputs equals it', () => {
    const numbers = (seed: number, count: number) =>
      Array.from({ length: count }, (_, index) => Math.sin(seed * 12.9 + index * 78.2) * 3);
    const make = (seed: number): ReferenceLayer => ({
      q: [numbers(seed, 4), numbers(seed + 1, 4)],
      keys: [Array.from({ length: 30 }, (_, position) => numbers(seed + 7 * position, 4))],
      values: [Array.from({ length: 30 }, (_, position) => numbers(seed + 3 * position, 4))],
    });
    const first = make(1);
    const layers = [first, first, make(2), make(3)];
    const { attended } = tidalDecodeReference(layers, ['select', 'sparse', 'sparse', 'sparse'], 5, false);
    layers.forEach((layer, index) => {
      if (index === 0) return;
      layer.q.forEach((q, head) => {
        const scores = attentionScores(q, layer.keys[0] as number[][]);
        const mass = (positions: number[]) =>
          positions.reduce((sum, position) => sum + Math.exp(scores[position] as number), 0);
        const own = mass(selectTopTokens(scores, 5, false));
        const captured = mass(attended[index]?.[head] as number[]);
        expect(captured).toBeLessThanOrEqual(own * (1 + 1e-12));
        if (index === 1) expect(captured).toBe(own);
      });
    });
  });

  it('attends to a subset as softmax over that subset', () => {
    expect(attendTo([0, 2], [0, 9, Math.log(3)], [[1], [5], [2]])[0]).toBeCloseTo(1 * 0.25 + 2 * 0.75, 12);
  });
});
