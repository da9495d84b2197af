import { ArgumentError } from '@saccade/core';
import { assertClose, modestGpu, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { combinePartials, flashAttention, flashDecode } from '../src/index.ts';
import { flashAttentionReference } from '../src/reference.ts';
import { randomCall, readResult, upload } from './call.ts';

const cache = randomCall({ batches: 2, heads: 4, kvHeads: 2, queries: 1, keys: 140, headSize: 32 });

/** The call of one batch entry over its first `length` keys. */
function entry(batch: number, length: number) {
  const rows = (data: ArrayLike<number>) =>
    [0, 1].flatMap((head) =>
      Array.from(data).slice((2 * batch + head) * 140 * 32, ((2 * batch + head) * 140 + length) * 32),
    );
  const q = Array.from(cache.q).slice(batch * 4 * 32, (batch + 1) * 4 * 32);
  return { ...cache, batches: 1, keys: length, q, k: rows(cache.k), v: rows(cache.v) };
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('flashDecode on the %s device', (_, open) => {
  it.each([null, 1, 5])('check 4: lengths on the device, splits %s', async (numSplits) => {
    const gpu = await open();
    const result = gpu.tidy(() => {
      const { q, k, v } = upload(gpu, cache);
      return flashDecode(q, k, v, gpu.tensor([140, 3], [2], 'u32'), { numSplits });
    });
    const { out, logSumExp } = await readResult(result);
    const expected = [flashAttentionReference(entry(0, 140)), flashAttentionReference(entry(1, 3))];
    assertClose(
      out,
      expected.flatMap((part) => Array.from(part.out)),
      { absolute: 1e-5 },
    );
    assertClose(
      logSumExp,
      expected.flatMap((part) => Array.from(part.logSumExp)),
      { absolute: 1e-5, relative: 1e-6 },
    );
  });
});

it('check 4: partials over uneven parts of the keys, one of them unseen, combine to the whole', async () => {
  const gpu = await sharedGpu();
  const call = randomCall({ batches: 1, heads: 4, kvHeads: 2, queries: 3, keys: 70, headSize: 32 });
  const [whole, combined] = gpu.tidy(() => {
    const { q, k, v } = upload(gpu, call);
    const parts = [
      [0, 11],
      [11, 64],
      [64, 70],
    ].map(([start = 0, end = 0]) => flashAttention(q, k.slice(2, start, end), v.slice(2, start, end)));
    const none = flashDecode(q, k, v, 0);
    return [flashAttention(q, k, v), combinePartials([...parts, none])] as const;
  });
  const [expected, actual] = [await readResult(whole), await readResult(combined)];
  assertClose(actual.out, expected.out, { absolute: 1e-6, relative: 1e-6 });
  assertClose(actual.logSumExp, expected.logSumExp, { absolute: 1e-6, relative: 1e-6 });
});

it('refuses a length over the capacity', async () => {
  const gpu = await sharedGpu();
  const refused = () =>
    gpu.tidy(() => {
      const x = gpu.zeros([1, 1, 4, 8]);
      flashDecode(x, x, x, 5);
    });
  expect(refused).toThrow(ArgumentError);
  expect(refused).toThrow(/keyLength.*5/);
});
