import { RandomStream } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { FeatureDistance, meanCosineDistance } from '../src/measure/feature-distance.ts';
import { imageBytes } from '../src/measure/image-bytes.ts';
import type { HostImage } from '../src/measure/image-quality.ts';

it('the distance of rows is 0 for parallel ones, 1 for orthogonal ones and 2 for opposite ones', () => {
  expect(meanCosineDistance([1, 2, 3, 4], [2, 4, 30, 40], 2)).toBeCloseTo(0, 12);
  expect(meanCosineDistance([1, 0], [0, 5], 2)).toBeCloseTo(1, 12);
  expect(meanCosineDistance([1, 1, 1, 0], [-1, -1, 2, 0], 2)).toBeCloseTo(1, 12);
});

it('bytes of an image stand pixel by pixel, cut at -1 and 1; grey stands for all colours', () => {
  const values = [-2, 0, 0.5, 1, -1, 3];
  expect([...imageBytes({ channels: 3, height: 1, width: 2, values })]).toEqual([0, 191, 0, 128, 255, 255]);
  expect([...imageBytes({ channels: 1, height: 1, width: 2, values: [1, -1] })]).toEqual([255, 255, 255, 0, 0, 0]);
});

it('an image is nothing from itself, and farther from noise than from a slight change', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const features = await FeatureDistance.open(gpu, new AbortController().signal);
  const stream = new RandomStream(1);
  const [side, channels] = [32, 3];
  const noise = (): HostImage => ({
    channels,
    height: side,
    width: side,
    values: Float32Array.from({ length: channels * side * side }, () => 2 * stream.next() - 1),
  });
  const disc: HostImage = {
    ...noise(),
    values: Float32Array.from({ length: channels * side * side }, (_, at) => {
      const [x, y] = [(at % side) - 16, (Math.floor(at / side) % side) - 16];
      return x * x + y * y < 64 ? 0.8 : -0.6;
    }),
  };
  const changed = { ...disc, values: Float32Array.from(disc.values, (value) => value + 0.02) };
  expect(await features.mean([disc], [disc])).toBeCloseTo(0, 6);
  const near = await features.mean([changed], [disc]);
  expect(near).toBeLessThan(await features.mean([noise()], [disc]));
  features.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});
