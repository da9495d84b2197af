import { ArgumentError, largestMask, maskPositions, massCount, ShapeError } from '@saccade/core';
import { modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const modest = await modestGpu();

const sortedSum = (row: readonly number[], count: number) =>
  [...row]
    .sort((a, b) => b - a)
    .slice(0, count)
    .reduce((sum, value) => sum + value, 0);

describe.each([
  ['every feature', gpu],
  ['WebGPU defaults', modest],
])('with %s', (_, device) => {
  it.each([1, 5, 64, 3000])('massCount finds the fewest of %i elements that hold a share', async (n) => {
    const rows = 3;
    // Squares: few of them hold much, and many are alike.
    const data = randomArray(rows * n, 7).map((value) => Math.round(8 * value ** 2) / 8 + value ** 4);
    for (const share of [0.01, 0.5, 0.96, 1]) {
      const counts = device.tidy(() => massCount(device.tensor(data, [rows, n]), share));
      const told = await counts.read();
      counts.dispose();
      for (let row = 0; row < rows; row++) {
        const own = Array.from(data.subarray(row * n, (row + 1) * n));
        const wanted = share * sortedSum(own, n);
        const count = told[row] as number;
        expect(count).toBeGreaterThanOrEqual(1);
        expect(sortedSum(own, count)).toBeGreaterThanOrEqual(wanted * (1 - 1e-5));
        if (count > 1) expect(sortedSum(own, count - 1)).toBeLessThan(wanted * (1 + 1e-6));
      }
    }
  });

  it('massCount counts equal elements one by one', async () => {
    const counts = device.tidy(() => massCount(device.tensor(new Float32Array(100).fill(0.01)), 0.96));
    expect(Array.from(await counts.read())).toEqual([96]);
    counts.dispose();
    const zeros = device.tidy(() => massCount(device.zeros([2, 9]), 0.5));
    expect(Array.from(await zeros.read())).toEqual([1, 1]);
    zeros.dispose();
  });

  it.each([1, 7, 300, 2000])('largestMask marks the largest of %i elements, equal ones by lower index', async (n) => {
    const rows = 5;
    const data = randomArray(rows * n, 3).map((value) => Math.round(10 * value) / 10);
    const wanted = [0, 1, Math.ceil(n / 3), n, n + 5];
    const flags = device.tidy(() => largestMask(device.tensor(data, [rows, n]), device.tensor(wanted, [rows], 'u32')));
    const told = await flags.read();
    for (let row = 0; row < rows; row++) {
      const own = data.subarray(row * n, (row + 1) * n);
      const order = Array.from({ length: n }, (__, index) => index);
      order.sort((a, b) => (own[b] as number) - (own[a] as number) || a - b);
      const marked = new Set(order.slice(0, wanted[row]));
      expect(Array.from(told.subarray(row * n, (row + 1) * n))).toEqual(
        order.map((___, index) => Number(marked.has(index))),
      );
    }
    const listed = device.tidy(() => maskPositions(flags).counts);
    expect(Array.from(await listed.read())).toEqual(wanted.map((count) => Math.min(count, n)));
    listed.dispose();
    flags.dispose();
  });
});

it('refuses what has no masses, and counts of other rows', () => {
  gpu.tidy(() => {
    expect(() => massCount(gpu.zeros([3], 'u32'), 0.5)).toThrow(ShapeError);
    expect(() => massCount(gpu.zeros([3]), 0)).toThrow(ArgumentError);
    expect(() => massCount(gpu.zeros([3]), 1.5)).toThrow(ArgumentError);
    expect(() => largestMask(gpu.zeros([2, 3]), gpu.zeros([3], 'u32'))).toThrow(ShapeError);
    expect(() => largestMask(gpu.zeros([2, 3], 'f16'), gpu.zeros([2], 'u32'))).toThrow(ShapeError);
  });
});
