import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { ArgumentError, gridSample, interpolate, ShapeError } from '../src/index.ts';
import {
  checkGradient,
  gridSampleReference,
  interpolateReference,
  modestGpu,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('interpolation on the %s device', (_, open) => {
  it('to larger, smaller and single-element images: values and gradients', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const [size, outSize] of [
      [
        [4, 5],
        [9, 7],
      ],
      [
        [7, 9],
        [2, 4],
      ],
      [
        [5, 1],
        [1, 3],
      ],
    ] as const) {
      for (const [mode, alignCorners] of [
        ['nearest', false],
        ['bilinear', false],
        ['bilinear', true],
      ] as const) {
        await checkGradient(gpu, {
          name: `${mode} [${size}] to [${outSize}]${alignCorners ? ', aligned' : ''}`,
          inputs: [{ shape: [1, 2, ...size], data: randomArray(2 * size[0] * size[1], 1) }],
          fn: (x) => ad.interpolate(x, { size: outSize, mode, alignCorners }),
          reference: (x) => interpolateReference(x, { planes: 2, size, outSize, mode, alignCorners }),
        });
      }
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each([
    ['zeros', false],
    ['zeros', true],
    ['border', false],
    ['border', true],
  ] as const)(
    'samples at places, %s around, aligned: %s; by the image and by the places',
    async (padding, alignCorners) => {
      const gpu = await open();
      const before = gpu.stats().liveBytes;
      await checkGradient(gpu, {
        inputs: [
          { shape: [2, 3, 4, 5], data: randomArray(120, 2) },
          // Some places lie outside, one far.
          { shape: [2, 3, 2, 2], data: randomArray(24, 3, { scale: 1.4 }).map((value, at) => (at === 7 ? 50 : value)) },
        ],
        fn: (x, grid) => ad.gridSample(x, grid, { padding, alignCorners }),
        reference: (x, grid) =>
          gridSampleReference(x, grid, { images: 2, channels: 3, size: [4, 5], padding, alignCorners }),
        step: 1e-6,
      });
      expect(gpu.stats().liveBytes).toBe(before);
    },
  );
});

it('errors name the op and both shapes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const [x, grid] = [gpu.zeros([1, 2, 3, 4]), gpu.zeros([2, 5, 5, 2])];
    expect(() => interpolate(gpu.zeros([2, 3, 4]), { size: 2 })).toThrow(/interpolate: x is \[2,3,4\]/);
    expect(() => interpolate(x, { size: 0 })).toThrow(ArgumentError);
    expect(() => interpolate(x, { size: 2, mode: 'nearest', alignCorners: true })).toThrow(ArgumentError);
    expect(() => gridSample(x, grid)).toThrow(/gridSample: x \[1,2,3,4\] and grid f32\[2,5,5,2\] do not fit/);
    expect(() => gridSample(gpu.zeros([2, 2, 0, 3]), grid)).toThrow(ShapeError);
  });
});
