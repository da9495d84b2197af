import { ArgumentError, RandomStream, ShapeError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { type HostImage, mostDecibels, psnr, ssim } from '../src/measure/image-quality.ts';

function noise(seed: number, [channels, height, width]: readonly [number, number, number], scale = 1): HostImage {
  const stream = new RandomStream(seed);
  const values = Float64Array.from({ length: channels * height * width }, () => scale * (2 * stream.next() - 1));
  return { channels, height, width, values };
}

const size = [2, 16, 14] as const;

function sum(a: HostImage, b: HostImage): HostImage {
  return { ...a, values: Float64Array.from(a.values, (value, at) => value + (b.values[at] as number)) };
}

describe('psnr', () => {
  it('is 20 dB where all pixels are off by a tenth of the range', () => {
    const image = noise(1, size);
    const shifted = { ...image, values: Float64Array.from(image.values, (value) => value + 0.2) };
    expect(psnr(shifted, image, 2)).toBeCloseTo(20, 10);
    expect(psnr(image, image, 2)).toBe(mostDecibels);
  });

  it('refuses what cannot be compared', () => {
    expect(() => psnr(noise(1, size), noise(1, [2, 14, 16]), 2)).toThrow(ShapeError);
    expect(() => psnr(noise(1, size), noise(1, size), 0)).toThrow(ArgumentError);
  });
});

describe('ssim', () => {
  it('is 1 for equal images, falls with noise, and is symmetric', () => {
    const image = noise(2, size);
    expect(ssim(image, image, 2)).toBeCloseTo(1, 12);
    const [little, much] = [sum(image, noise(3, size, 0.1)), sum(image, noise(3, size, 1))];
    expect(ssim(little, image, 2)).toBeGreaterThan(ssim(much, image, 2));
    expect(ssim(much, image, 2)).toBeCloseTo(ssim(image, much, 2), 12);
    expect(() => ssim(noise(1, [1, 10, 20]), noise(1, [1, 10, 20]), 1)).toThrow(ShapeError);
  });

  it('is what the formula says, place by place', () => {
    const [x, y] = [noise(4, size), sum(noise(4, size), noise(5, size, 0.3))];
    const [channels, height, width] = size;
    const bell = Array.from({ length: 11 }, (_, at) => Math.exp(-((at - 5) ** 2) / 4.5));
    const norm = bell.reduce((total, value) => total + value, 0) ** 2;
    let total = 0;
    let places = 0;
    for (let channel = 0; channel < channels; channel++) {
      for (let top = 0; top + 11 <= height; top++) {
        for (let left = 0; left + 11 <= width; left++) {
          const pairs = Array.from({ length: 121 }, (_, at) => {
            const [row, column] = [Math.floor(at / 11), at % 11];
            const index = (channel * height + top + row) * width + left + column;
            const weight = ((bell[row] as number) * (bell[column] as number)) / norm;
            return { weight, a: x.values[index] as number, b: y.values[index] as number };
          });
          const mean = (of: (pair: (typeof pairs)[number]) => number) =>
            pairs.reduce((total, pair) => total + pair.weight * of(pair), 0);
          const [ma, mb] = [mean(({ a }) => a), mean(({ b }) => b)];
          const [va, vb] = [mean(({ a }) => (a - ma) ** 2), mean(({ b }) => (b - mb) ** 2)];
          const covariance = mean(({ a, b }) => (a - ma) * (b - mb));
          const [c1, c2] = [0.02 ** 2, 0.06 ** 2];
          total += ((2 * ma * mb + c1) * (2 * covariance + c2)) / ((ma ** 2 + mb ** 2 + c1) * (va + vb + c2));
          places++;
        }
      }
    }
    expect(ssim(x, y, 2)).toBeCloseTo(total / places, 10);
  });
});
