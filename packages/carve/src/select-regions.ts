import { ArgumentError, ShapeError } from '@saccade/core';
import type { Size } from './fuse-maps.ts';
import type { ResolvedCarveOptions } from './options.ts';

/** A rectangle in pixels. */
export interface Box {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** Pixels over the threshold that touch at their sides. */
export interface Region {
  /** Their numbers, row by row, in no order. */
  readonly pixels: readonly number[];
  /** Sum of the map over them. */
  readonly sum: number;
}

export type RegionOptions = Pick<ResolvedCarveOptions, 'topShare' | 'keepRegions' | 'moreRegions' | 'rank'>;

/** What a map selects. */
export interface Selection {
  readonly threshold: number;
  /** All regions, the best first. */
  readonly regions: readonly Region[];
  /** How many of them stay. */
  readonly kept: number;
  /** 1 for pixels of regions that stay: [height * width]. */
  readonly mask: Uint8Array;
  /** Around them. */
  readonly box: Box;
}

/** Smallest region that `remove-small` leaves, as a share of the pixels over the threshold. */
const smallestShare = 0.001;

/**
 * Pixels of the largest values, and of their 4-connected regions the best.
 *
 * @param map finite, [height * width]
 * @throws ShapeError, ArgumentError
 */
export function selectRegions(map: Float32Array, size: Size, options: RegionOptions): Selection {
  const { height, width } = size;
  if (map.length !== height * width || map.length === 0)
    throw new ShapeError('selectRegions', `a map of ${map.length} pixels is not ${height} x ${width}.`);
  const threshold = percentile(map, 1 - options.topShare);
  if (!Number.isFinite(threshold) || !map.every(Number.isFinite))
    throw new ArgumentError('map', 'values that are not finite', 'finite numbers');
  const regions = connectedRegions(map, size, threshold);
  const score = options.rank === 'attention-sum' ? ({ sum }: Region) => sum : ({ pixels }: Region) => pixels.length;
  regions.sort((a, b) => score(b) - score(a));
  const kept = keptCount(regions, options);
  const mask = new Uint8Array(map.length);
  for (const { pixels } of regions.slice(0, kept)) for (const pixel of pixels) mask[pixel] = 1;
  return { threshold, regions, kept, mask, box: boxAround(mask, size) };
}

function keptCount(regions: readonly Region[], { topShare, keepRegions, moreRegions, rank }: RegionOptions): number {
  if (rank === 'remove-small') {
    const area = regions.reduce((total, { pixels }) => total + pixels.length, 0);
    return Math.max(1, regions.filter(({ pixels }) => pixels.length >= smallestShare * area).length);
  }
  const wanted = moreRegions ? Math.max(keepRegions, Math.floor(topShare * regions.length)) : keepRegions;
  return Math.min(wanted, regions.length);
}

/**
 * The value below which a share of the values lies, between two values linearly.
 * @param share in [0, 1]
 */
export function percentile(values: Float32Array, share: number): number {
  const sorted = Float32Array.from(values).sort();
  const place = Math.min(Math.max(share, 0), 1) * (sorted.length - 1);
  const first = Math.floor(place);
  const [low, high] = [sorted[first] as number, sorted[Math.min(first + 1, sorted.length - 1)] as number];
  return low + (high - low) * (place - first);
}

function connectedRegions(map: Float32Array, { height, width }: Size, threshold: number): Region[] {
  const open = Uint8Array.from(map, (value) => (value >= threshold ? 1 : 0));
  const regions: Region[] = [];
  for (let start = 0; start < open.length; start++) {
    if (open[start] === 0) continue;
    open[start] = 0;
    const pixels = [start];
    let sum = 0;
    const visit = (pixel: number) => {
      if (open[pixel] === 0) return;
      open[pixel] = 0;
      pixels.push(pixel);
    };
    for (let next = 0; next < pixels.length; next++) {
      const pixel = pixels[next] as number;
      const column = pixel % width;
      sum += map[pixel] as number;
      if (column > 0) visit(pixel - 1);
      if (column < width - 1) visit(pixel + 1);
      if (pixel >= width) visit(pixel - width);
      if (pixel < (height - 1) * width) visit(pixel + width);
    }
    regions.push({ pixels, sum });
  }
  return regions;
}

function boxAround(mask: Uint8Array, { height, width }: Size): Box {
  let [top, left, bottom, right] = [height, width, 0, 0];
  mask.forEach((kept, pixel) => {
    if (kept === 0) return;
    const [row, column] = [Math.floor(pixel / width), pixel % width];
    top = Math.min(top, row);
    left = Math.min(left, column);
    bottom = Math.max(bottom, row + 1);
    right = Math.max(right, column + 1);
  });
  return { top, left, height: bottom - top, width: right - left };
}
