import { ArgumentError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import {
  chooseTiles,
  endToEndSpeedup,
  findPerfect,
  neighborhoodMask,
  publishedSettings,
  simulate,
  sweepStrides,
} from '../src/index.ts';

const hunyuan = { window: [18, 24, 24], queryTile: [4, 8, 8], keyTile: [2, 8, 8] };
const layout = [30, 48, 80];

describe('check 5: the published figures', () => {
  it.each([
    ['1x1x1', [1, 1, 1], 275, 3.27, 1.73],
    ['2x1x1', [2, 1, 1], 250, 3.6, 1.78],
    ['1x1x8', [1, 1, 8], 165, 5.45, 1.98],
    ['2x1x8', [2, 1, 8], 150, 6, 2.02],
    ['1x8x8', [1, 8, 8], 99, 9.09, 2.17],
    ['2x8x8', [2, 8, 8], 90, 10, 2.2],
    ['16x8x8', [16, 8, 8], 81, 11.11, 2.23],
    ['18x24x24', [18, 24, 24], 135, 6.67, 2.07],
  ])('HunyuanVideo, stride %s', (_, stride, visited, speedup, endToEnd) => {
    const found = simulate(layout, { ...hunyuan, stride });
    expect(found.keyTilesTotal).toBe(900);
    expect(found.keyTilesVisitedMax).toBe(visited);
    expect(found.tileSpeedup).toBeCloseTo(speedup, 2);
    expect(Math.abs(endToEndSpeedup(0.607, found.tileSpeedup) - endToEnd)).toBeLessThan(0.0051);
    expect(found.perfectlyBlockSparse).toBe(visited === 81);
  });

  it('dynamic tiling is another quantity', () => {
    const { keyTilesVisitedMax, tileSpeedup } = simulate(layout, { ...hunyuan, keyTiling: 'dynamic' });
    expect(keyTilesVisitedMax).toBe(176);
    expect(tileSpeedup).toBeCloseTo(5.11, 2);
  });

  it.each([
    [[1, 1], 84, 6.1, 1.76],
    [[16, 1], 60, 8.53, 1.84],
    [[16, 16], 50, 10.24, 1.88],
  ])('FLUX at 256 x 256, stride %j', (stride, visited, speedup, endToEnd) => {
    const tiles = { queryTile: [16, 16], keyTile: [16, 8] };
    const found = simulate([256, 256], { window: 80, stride, ...tiles });
    expect([found.keyTilesTotal, found.keyTilesVisitedMax]).toEqual([512, visited]);
    expect(found.tileSpeedup).toBeCloseTo(speedup, 2);
    expect(endToEndSpeedup(0.518, found.tileSpeedup)).toBeCloseTo(endToEnd, 2);
  });

  it.each(
    publishedSettings.map(
      (setting) => [`${setting.model} ${setting.window.join('x')} ${setting.stride.join('x')}`, setting] as const,
    ),
  )('end to end, within a digit of the last place: %s', (_, setting) => {
    const { tileSpeedup } = simulate(setting.layout, setting);
    expect(Math.abs(endToEndSpeedup(setting.attentionShare, tileSpeedup) - setting.endToEnd)).toBeLessThan(0.011);
  });
});

describe('check 6: the busiest tile bounds, not the mean', () => {
  it('which would give 5.24', () => {
    const { keyTilesTotal, keyTilesVisitedMean } = simulate(layout, hunyuan);
    expect(keyTilesTotal / keyTilesVisitedMean).toBeCloseTo(5.24, 2);
  });
});

describe('simulate', () => {
  it('counts what a mask says, dilations and causality included', () => {
    const sizes = [7, 10];
    const options = { window: [3, 4], stride: [2, 3], dilation: [1, 2], causal: [true, false] };
    const tiles = { queryTile: [2, 1], keyTile: [2, 1] };
    const found = simulate(sizes, { ...options, ...tiles });
    const mask = neighborhoodMask(sizes, options);
    const visible = mask.reduce((sum, seen) => sum + seen, 0);
    expect(found.flopSpeedup).toBeCloseTo(70 ** 2 / visible, 10);
    // Tiles of keys are pairs of rows by single columns here.
    const counts: number[] = [];
    for (let y = 0; y < 7; y += 2) {
      for (let x = 0; x < 10; x++) {
        const tilesSeen = new Set<number>();
        for (const row of [y, y + 1].filter((at) => at < 7)) {
          for (let key = 0; key < 70; key++) {
            if (mask[(row * 10 + x) * 70 + key]) tilesSeen.add(Math.floor(Math.floor(key / 10) / 2) * 10 + (key % 10));
          }
        }
        counts.push(tilesSeen.size);
      }
    }
    expect(found.keyTilesVisitedMax).toBe(Math.max(...counts));
    expect(found.keyTilesVisitedMean).toBeCloseTo(counts.reduce((a, b) => a + b, 0) / counts.length, 10);
  });

  it('sufficient under dynamic tiling: tiles of keys divide the window, tiles of queries the stride', () => {
    const tiles = { queryTile: [4, 2], keyTile: [2, 4], keyTiling: 'dynamic' as const };
    expect(simulate([16, 24], { window: [8, 12], stride: [4, 4], ...tiles }).perfectlyBlockSparse).toBe(true);
    expect(simulate([16, 24], { window: [8, 12], stride: [1, 4], ...tiles }).perfectlyBlockSparse).toBe(false);
  });

  it('refuses what does not fit', () => {
    expect(() => simulate([8, 8], { window: 4, queryTile: [4], keyTile: [4, 4] })).toThrow(ArgumentError);
    expect(() => simulate([8], { window: 4, queryTile: [4], keyTile: [4], keyTiling: 'loose' as 'static' })).toThrow(
      /keyTiling/,
    );
    expect(() => endToEndSpeedup(2, 3)).toThrow(/0 to 1/);
    expect(() => endToEndSpeedup(0.5, 0)).toThrow(/over 0/);
  });
});

describe('searches', () => {
  it('sweepStrides keeps the strides of the paper’s table, in rising order', () => {
    const found = sweepStrides(layout, hunyuan).map(({ stride }) => stride.join('x'));
    expect(found).toEqual(expect.arrayContaining(['1x1x1', '2x1x1', '1x1x8', '2x1x8', '1x8x8', '2x8x8', '16x8x8']));
    expect(found[0]).toBe('1x1x1');
    expect(found.at(-1)).toBe('16x8x8');
    expect(found).not.toContain('18x24x24');
  });

  it('findPerfect gives settings that the simulator calls perfect, the nearest window first', () => {
    const found = findPerfect([32, 32], { window: 8, limit: 6 });
    expect(found[0]?.window).toEqual([8, 8]);
    expect(found).toHaveLength(6);
    for (const { window, stride, queryTile, keyTile, tileSpeedup, density } of found) {
      const again = simulate([32, 32], { window, stride, queryTile, keyTile });
      expect(again.perfectlyBlockSparse).toBe(true);
      expect(again.tileSpeedup).toBe(tileSpeedup);
      expect(density).toBeCloseTo(((window[0] as number) * (window[1] as number)) / 1024, 10);
    }
  });

  it('chooseTiles takes square tiles for square windows, and bounded ones for flat grids', () => {
    expect(chooseTiles([64, 64], { window: 16 })).toEqual({ queryTile: [8, 8], keyTile: [8, 8] });
    const flat = chooseTiles([2, 100], { window: [2, 10] });
    expect(flat.queryTile[0]).toBeLessThanOrEqual(2);
    expect(chooseTiles([3, 3], { window: 2 }).keyTile).toEqual([4, 4]);
    expect(() => chooseTiles([64], { window: 4, keyTokens: 48 })).toThrow(/power of two/);
  });
});
