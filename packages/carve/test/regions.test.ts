import { ArgumentError, OptionError, type RgbImage, ShapeError } from '@saccade/core';
import { randomArray } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { defaultLayers, maskImage, percentile, refineImage, selectRegions } from '../src/index.ts';
import { fusedLayers } from '../src/options.ts';
import { regionLabels } from '../src/reference.ts';

const plain = { topShare: 0.2, keepRegions: 3, moreRegions: false, rank: 'attention-sum' } as const;

function picture(height: number, width: number, seed = 1): RgbImage {
  return { height, width, data: Uint8Array.from(randomArray(height * width * 3, seed), (x) => Math.abs(x) * 90) };
}

it('check 4: all pixels give the image as it is', () => {
  const image = picture(9, 14);
  const map = Float32Array.from(randomArray(9 * 14, 3), Math.abs);
  const { threshold, mask, box } = selectRegions(map, image, { ...plain, topShare: 1 });
  expect(threshold).toBe(Math.min(...map));
  expect(mask.every((kept) => kept === 1)).toBe(true);
  expect(box).toEqual({ top: 0, left: 0, height: 9, width: 14 });
  const refined = refineImage(image, mask, box);
  expect(refined).toEqual(image);
});

it('check 5: a fifth of 100', () => {
  const map = Float32Array.from({ length: 100 }, (_, index) => index);
  expect(percentile(map, 0.8)).toBeCloseTo(79.2, 10);
  const { threshold, mask } = selectRegions(map, { height: 10, width: 10 }, plain);
  expect(threshold).toBeCloseTo(79.2, 10);
  expect(mask.reduce((sum, kept) => sum + kept, 0)).toBe(20);
});

describe('check 6: regions', () => {
  // Blobs of sums 10, 6 and 3, and a pixel that touches the first with its corner.
  const size = { height: 8, width: 8 };
  const map = new Float32Array(64);
  const place = (row: number, column: number, value: number) => {
    map[row * 8 + column] = value;
  };
  for (const [row, column] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const)
    place(row, column, 2.5);
  place(2, 2, 1);
  for (const column of [5, 6, 7]) place(0, column, 2);
  place(6, 1, 1.5);
  place(6, 2, 1.5);
  const options = { ...plain, topShare: 10 / 64, keepRegions: 2 };

  it('count corners as their own, and the largest sums stay', () => {
    const { regions, kept, mask, box } = selectRegions(map, size, options);
    expect(regions.map(({ sum }) => sum)).toEqual([10, 6, 3, 1]);
    expect(kept).toBe(2);
    expect(mask.reduce((sum, value, pixel) => sum + value * (map[pixel] as number), 0)).toBe(16);
    expect(mask[2 * 8 + 2]).toBe(0);
    expect(box).toEqual({ top: 0, left: 0, height: 2, width: 8 });
  });

  it('stay by size where asked, and at least a share where there are many', () => {
    const sizes = selectRegions(map, size, { ...options, rank: 'size' }).regions.map(({ pixels }) => pixels.length);
    expect(sizes).toEqual([4, 3, 2, 1]);
    const all = selectRegions(map, size, { ...options, rank: 'remove-small' });
    expect(all.kept).toBe(4);
    const board = Float32Array.from({ length: 400 }, (_, pixel) => ((pixel + Math.floor(pixel / 20)) % 2 ? 1 : 0));
    const many = { ...plain, topShare: 0.5, keepRegions: 3 };
    expect(selectRegions(board, { height: 20, width: 20 }, many).kept).toBe(3);
    expect(selectRegions(board, { height: 20, width: 20 }, { ...many, moreRegions: true }).kept).toBe(100);
  });

  it('small ones leave', () => {
    const large = new Float32Array(60 * 60).fill(2, 0, 40 * 60);
    large[50 * 60 + 30] = 5;
    const { regions, kept } = selectRegions(
      large,
      { height: 60, width: 60 },
      {
        ...plain,
        topShare: 0.6,
        rank: 'remove-small',
      },
    );
    expect([regions.length, kept]).toEqual([2, 1]);
    expect(regions[0]?.pixels.length).toBe(2400);
  });

  it.each([1, 2, 3])('are the reference’s (%i)', (seed) => {
    const random = Float32Array.from(randomArray(17 * 23, seed), Math.abs);
    const { threshold, regions } = selectRegions(random, { height: 17, width: 23 }, { ...plain, topShare: 0.55 });
    const labels = regionLabels(
      Array.from(random, (value) => value >= threshold),
      23,
    );
    const own = new Array<number>(labels.length).fill(-1);
    for (const { pixels } of regions) for (const pixel of pixels) own[pixel] = Math.min(...pixels);
    expect(own).toEqual(labels);
  });
});

describe('refined images', () => {
  it('are black outside and cover the image in their own proportions', () => {
    const image = { height: 20, width: 30, data: new Uint8Array(1800).fill(200) };
    const mask = new Uint8Array(600);
    for (const [row, column] of [
      [4, 5],
      [4, 6],
      [8, 9],
    ] as const)
      mask[row * 30 + column] = 1;
    const masked = maskImage(image, mask);
    expect(Array.from(masked.data).filter((value) => value > 0).length).toBe(9);
    const refined = refineImage(image, mask, { top: 4, left: 5, height: 5, width: 5 });
    expect([refined.height, refined.width]).toEqual([30, 30]);
  });

  it('do not grow without end', () => {
    const image = { height: 600, width: 600, data: new Uint8Array(600 * 600 * 3) };
    const { height, width } = refineImage(image, new Uint8Array(360_000), { top: 0, left: 3, height: 600, width: 1 });
    expect(height * width).toBeLessThan(2 ** 22 * 1.01);
    expect(height / width).toBeCloseTo(600, -2);
  });
});

it('refuses what does not fit', () => {
  expect(() => selectRegions(new Float32Array(5), { height: 2, width: 2 }, plain)).toThrow(ShapeError);
  expect(() => selectRegions(new Float32Array(4).fill(NaN), { height: 2, width: 2 }, plain)).toThrow(ArgumentError);
  expect(() => maskImage(picture(2, 2), new Uint8Array(3))).toThrow(ShapeError);
});

it('fuses the published layers, and their share of shallow models', () => {
  expect([28, 32, 40].map(defaultLayers)).toEqual(new Array(3).fill([20, 21, 22, 23, 24, 25]));
  expect(defaultLayers(14)).toEqual([10, 11, 12]);
  expect(defaultLayers(3)).toEqual([2]);
  const facts = { layers: 3, layerKinds: ['global', 'window', 'global'] as const };
  expect(fusedLayers({ layers: [0, 1, 2] }, facts)).toEqual([0, 2]);
  expect(() => fusedLayers({ layers: [1] }, facts)).toThrow(OptionError);
  expect(() => fusedLayers({ layers: [3] }, facts)).toThrow(OptionError);
});
