import { ShapeError } from '@saccade/core';
import { assertClose, featureReference, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { taylorFeatureCount, taylorFeatureMap } from '../src/index.ts';
import { rowOf, taylorFeatures } from '../src/reference.ts';

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, at) => sum + x * (b[at] as number), 0);

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('check 1: the Taylor feature map on the %s device', (_, open) => {
  it.each([1, 8, 16, 24])('phi(q) . phi(k) = 1 + s + s^2 / 2 with f = %d', async (f) => {
    const gpu = await open();
    const { liveBytes } = gpu.stats();
    const rows = 5;
    const [q, k] = [randomArray(rows * f, 1, { scale: 2 }), randomArray(rows * f, 2, { scale: 2 })];
    for (const symmetric of [false, true]) {
      const width = taylorFeatureCount(f, { symmetric });
      const maps = gpu.tidy(() => [q, k].map((x) => taylorFeatureMap(gpu.tensor(x, [rows, f]), { symmetric })));
      expect(maps.map(({ shape }) => shape)).toEqual([
        [rows, width],
        [rows, width],
      ]);
      const [ofQueries, ofKeys] = (await gpu.read(maps)) as [Float32Array, Float32Array];
      for (const map of maps) map.dispose();
      for (let row = 0; row < rows; row++) {
        const s = dot(rowOf(q, rows, row), rowOf(k, rows, row)) / Math.sqrt(f);
        const product = dot(rowOf(ofQueries, rows, row), rowOf(ofKeys, rows, row));
        assertClose([product], [1 + s + s ** 2 / 2], { relative: 1e-5 });
        const expected = symmetric
          ? featureReference(rowOf(q, rows, row), { size: f })[0]
          : taylorFeatures(rowOf(q, rows, row));
        assertClose(rowOf(ofQueries, rows, row), expected as number[], { relative: 1e-5, absolute: 1e-6 });
      }
    }
    expect(gpu.stats().liveBytes).toBe(liveBytes);
  });

  it('has the published 273 features at f = 16, or 153 with each product once', () => {
    expect(taylorFeatureCount(16)).toBe(273);
    expect(taylorFeatureCount(16, { symmetric: true })).toBe(153);
    expect(taylorFeatures(new Array(16).fill(1))).toHaveLength(273);
  });
});

it('refuses a scalar', async () => {
  const gpu = await sharedGpu();
  expect(() => gpu.tidy(() => taylorFeatureMap(gpu.zeros([])))).toThrow(ShapeError);
});
