import { randomArray } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { gatedAttentionReference, type ReferenceLayer } from '../src/index.ts';

const layer: ReferenceLayer = {
  hiddenSize: 2,
  heads: 2,
  kvHeads: 1,
  headSize: 2,
  queryKeyNorm: false,
  normEpsilon: 1e-5,
  source: 'input',
  position: 'g1',
  granularity: 'headwise',
  headSpecific: true,
  mode: 'multiplicative',
  activation: 'sigmoid',
  parameters: {
    // Queries of zeros look at all keys alike; values are the input; the output adds the heads.
    'q_proj.weight': new Array(8).fill(0),
    'k_proj.weight': [1, 0, 0, 1],
    'v_proj.weight': [1, 0, 0, 1],
    'o_proj.weight': [1, 0, 1, 0, 0, 1, 0, 1],
    'gate_proj.weight': [1, 0, 0, -1],
  },
};

it('is what one computes by hand', () => {
  const { output, probabilities, gate } = gatedAttentionReference(layer, [1, 2, 3, 6]);
  expect([...probabilities]).toEqual([1, 0, 0.5, 0.5, 1, 0, 0.5, 0.5]);
  const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
  // Token 1: the mean of both values, (2, 4), times the sum of the gates sigmoid(3) and sigmoid(-6).
  const gates = sigmoid(3) + sigmoid(-6);
  expect(output[2]).toBeCloseTo(2 * gates, 12);
  expect(output[3]).toBeCloseTo(4 * gates, 12);
  expect([gate[4], gate[6]]).toEqual([sigmoid(3), sigmoid(-6)]);
});

it('without a gate it is attention', () => {
  const x = randomArray(12, 3);
  const { output, gate } = gatedAttentionReference({ ...layer, source: 'none' }, x);
  const open = gatedAttentionReference(
    { ...layer, activation: 'identity', source: 'parameter', parameters: { ...layer.parameters, gate_logits: [1, 1] } },
    x,
  );
  expect(gate.length).toBe(0);
  expect([...open.output]).toEqual([...output]);
});
