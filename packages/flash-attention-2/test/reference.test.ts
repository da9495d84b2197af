import { assertClose, attentionBackwardReference, attentionReference, randomArray } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { flashAttentionReference, type ReferenceInput } from '../src/reference.ts';
import { flashAttentionBackwardReference } from '../src/reference-backward.ts';
import { randomCall } from './call.ts';

const shape = { batches: 2, heads: 4, kvHeads: 2, queries: 19, keys: 37, headSize: 6 };

/** The same call for the core's reference, which is written independently and without blocks. */
function plain({ window, softcap, ...call }: ReferenceInput) {
  const [left, right] = window ?? [-1, -1];
  return {
    ...call,
    ...(left >= 0 ? { slidingWindow: left + 1 } : {}),
    ...(right >= 0 ? { mask: { kind: 'slidingWindow', before: 1000, after: right } as const } : {}),
    ...(softcap ? { scoreModifiers: [{ kind: 'softCap', cap: softcap } as const] } : {}),
  };
}

describe.each<[string, ReferenceInput]>([
  ['dense', randomCall(shape, { blockQ: 8, blockKV: 5 })],
  ['causal', randomCall(shape, { causal: true, blockQ: 8, blockKV: 5 })],
  ['causal, more queries than keys', randomCall({ ...shape, queries: 23, keys: 9 }, { causal: true, blockKV: 4 })],
  ['a window on both sides', randomCall(shape, { window: [4, 2], blockQ: 3, blockKV: 3 })],
  ['a window, causal, soft-capped', randomCall(shape, { window: [4, -1], causal: true, softcap: 1.5, scale: 0.4 })],
])('the reference in blocks, %s', (_, call) => {
  const result = flashAttentionReference(call);

  it('check 1: equals attention by definition', () => {
    const expected = attentionReference(plain(call));
    assertClose(result.out, expected.output, { absolute: 1e-12, name: 'out' });
    assertClose(result.logSumExp, expected.logSumExp, { absolute: 1e-12, name: 'log-sum-exp' });
  });

  it.each([
    [16, 16],
    [32, 64],
    [64, 16],
  ])('check 2: the same in blocks of %i x %i', (blockQ, blockKV) => {
    assertClose(flashAttentionReference({ ...call, blockQ, blockKV }).out, result.out, { absolute: 1e-12 });
  });

  it.each([2, 3, 7, 50])('check 4: the same in %i splits', (numSplits) => {
    const split = flashAttentionReference({ ...call, numSplits });
    assertClose(split.out, result.out, { absolute: 1e-12 });
    assertClose(split.logSumExp, result.logSumExp, { absolute: 1e-12 });
  });

  it('check 7: gradients equal those by definition; gradients by scores sum to zero', () => {
    const dOut = randomArray(call.q.length, 4);
    const gradients = flashAttentionBackwardReference(dOut, call, result);
    const expected = attentionBackwardReference(dOut, plain(call));
    for (const name of ['dq', 'dk', 'dv'] as const)
      assertClose(gradients[name], expected[name], { absolute: 1e-11, name });
    assertClose(gradients.scoreSums, new Float64Array(gradients.scoreSums.length), { absolute: 1e-12 });
  });
});

it('check 5: loads b (b + 1) / 2 blocks where causal, and a band of them in a window', () => {
  const one = { batches: 1, heads: 1, kvHeads: 1, queries: 64, keys: 64, headSize: 2 };
  const blocks = { blockQ: 8, blockKV: 8 };
  expect(flashAttentionReference(randomCall(one, blocks)).loadedBlocks).toBe(64);
  expect(flashAttentionReference(randomCall(one, { ...blocks, causal: true })).loadedBlocks).toBe(36);
  // Each block of queries sees its own block and two before it.
  const band = flashAttentionReference(randomCall(one, { ...blocks, causal: true, window: [16, 0] }));
  expect(band.loadedBlocks).toBe(1 + 2 + 6 * 3);
});

it('check 7: gradients equal central differences of the forward pass', () => {
  const call = randomCall(
    { batches: 1, heads: 2, kvHeads: 1, queries: 4, keys: 6, headSize: 3 },
    { causal: true, softcap: 2, blockKV: 2 },
  );
  const dOut = randomArray(call.q.length, 4);
  const gradients = flashAttentionBackwardReference(dOut, call, flashAttentionReference(call));
  const loss = (changed: Partial<ReferenceInput>) =>
    flashAttentionReference({ ...call, ...changed }).out.reduce(
      (sum, value, i) => sum + value * (dOut[i] as number),
      0,
    );
  for (const [name, gradient] of [
    ['q', gradients.dq],
    ['k', gradients.dk],
    ['v', gradients.dv],
  ] as const) {
    const numbers = Float64Array.from(call[name]);
    const differences = numbers.map((middle, at) => {
      const moved = (step: number) => loss({ [name]: numbers.with(at, middle + step) });
      return (moved(1e-5) - moved(-1e-5)) / 2e-5;
    });
    assertClose(gradient, differences, { absolute: 1e-8, name });
  }
});
