import { OptionError, type Tensor } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { slidingWindowAttention, visibleTokens } from '../src/index.ts';
import { weightedValues, windowWeights } from '../src/reference.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('the window layer on the %s device', (_, open) => {
  it.each([1, 7, 40])('equals f64 on %d rows', async (rows) => {
    const gpu = await open();
    const size = 8;
    const numbers = (seed: number) => randomArray(rows * size, seed);
    const [q, k, v] = [numbers(1), numbers(2), numbers(3)];
    const out = gpu.tidy(() => {
      const tensor = (x: Float32Array) => gpu.tensor(x, [1, 1, rows, size]);
      return slidingWindowAttention(tensor(q), tensor(k), tensor(v), { windowSize: 10 });
    });
    const expected = weightedValues(windowWeights({ rows, q, k }, 10), v).flat();
    assertClose(await out.read(), expected, { relative: 1e-4, absolute: 1e-5 });
    out.dispose();
  });
});

describe('check 5: a window size of 256 shows 129 tokens', () => {
  it('token i - 129 changes nothing at i, token i - 128 does', async () => {
    expect(visibleTokens(256)).toBe(129);
    const gpu = await sharedGpu();
    const [rows, size, last] = [140, 8, 139];
    const output = async (changed?: number) => {
      const v = randomArray(rows * size, 3);
      if (changed !== undefined) v.fill(5, changed * size, (changed + 1) * size);
      const out = gpu.tidy(() => {
        const tensor = (x: Float32Array): Tensor => gpu.tensor(x, [1, 1, rows, size]);
        const [q, k] = [tensor(randomArray(rows * size, 1)), tensor(randomArray(rows * size, 2))];
        return slidingWindowAttention(q, k, tensor(v), { windowSize: 256 });
      });
      const data = await out.read();
      out.dispose();
      return data.subarray(last * size);
    };
    const before = await output();
    expect(await output(last - 129)).toEqual(before);
    expect(await output(last - 128)).not.toEqual(before);
  });
});

it('refuses a window of one token', async () => {
  const gpu = await sharedGpu();
  const call = () =>
    gpu.tidy(() => {
      const x = gpu.zeros([1, 1, 2, 4]);
      slidingWindowAttention(x, x, x, { windowSize: 1 });
    });
  expect(call).toThrow(OptionError);
  expect(call).toThrow(/windowSize.*1.*>= 2/);
});
