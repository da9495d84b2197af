import { ArgumentError, neighbourhoodWindow } from '@saccade/core';
import { checkLayout, type NeighborhoodOptions, type PerAxis, resolveNeighborhood } from './neighborhood.ts';
import {
  type AxisSimulation,
  checkTiles,
  combineAxes,
  type SimulateOptions,
  type Simulation,
  simulateAxis,
  type TileOptions,
} from './simulate.ts';

/** All combinations of one entry per axis, the last axis fastest. */
function combinations<T>(axes: readonly (readonly T[])[]): T[][] {
  return axes.reduce<T[][]>(
    (all, entries) => all.flatMap((before) => entries.map((entry) => [...before, entry])),
    [[]],
  );
}

const product = (values: readonly number[]) => values.reduce((total, value) => total * value, 1);
const upTo = (most: number) => Array.from({ length: most }, (_, at) => at + 1);

/** A stride that is worth its coarseness. */
export interface StrideResult {
  readonly stride: readonly number[];
  readonly tileSpeedup: number;
  readonly perfectlyBlockSparse: boolean;
}

/**
 * The strides of a window whose bound is higher than that of every smaller stride, from the sliding window on: larger strides
 * cost quality, so that only these are worth trying.
 *
 * @throws ArgumentError
 */
export function sweepStrides(layout: readonly number[], options: Omit<SimulateOptions, 'stride'>): StrideResult[] {
  const { window, dilation, causal } = resolveNeighborhood(layout, options);
  checkTiles(layout, options);
  const { queryTile, keyTile, keyTiling = 'static' } = options;
  const axes = layout.map((size, axis) => {
    let least = Number.POSITIVE_INFINITY;
    return upTo(window[axis] as number).flatMap((stride) => {
      const found = simulateAxis(size, {
        ...{ window: window[axis] as number, stride, dilation: dilation[axis] as number, keyTiling },
        ...{ causal: causal[axis] as boolean, queryTile: queryTile[axis] as number, keyTile: keyTile[axis] as number },
      });
      // Axes are separable, so what helps does so along an axis, whatever the others are.
      if (found.most >= least) return [];
      least = found.most;
      return [{ stride, found }];
    });
  });
  return combinations(axes)
    .map((entries) => {
      const { tileSpeedup, perfectlyBlockSparse } = combineAxes(
        layout,
        entries.map(({ found }) => found),
      );
      return { stride: entries.map(({ stride }) => stride), tileSpeedup, perfectlyBlockSparse };
    })
    .sort((a, b) => a.tileSpeedup - b.tileSpeedup || product(a.stride) - product(b.stride));
}

/** All shapes of `tokens` tokens whose sizes are powers of two, none of them beyond what its axis needs. */
export function tileShapes(layout: readonly number[], tokens: number): number[][] {
  checkLayout(layout);
  if (!Number.isInteger(Math.log2(tokens)) || tokens < 1) {
    throw new ArgumentError('tokens of a tile', tokens, 'a power of two');
  }
  const sizes = layout.map((size) => {
    const most = Math.ceil(Math.log2(size));
    return Array.from({ length: most + 1 }, (_, power) => 2 ** power);
  });
  const exact = combinations(sizes).filter((shape) => product(shape) === tokens);
  // A layout of fewer tokens is one tile.
  return exact.length > 0 ? exact : [sizes.map((powers) => powers.at(-1) as number)];
}

export interface ChooseTilesOptions extends NeighborhoodOptions {
  /** Tokens of a tile, powers of two. Default 64 each. */
  readonly queryTokens?: number;
  readonly keyTokens?: number;
}

/**
 * The shapes of tiles that visit the fewest keys, padding included.
 *
 * @throws ArgumentError
 */
export function chooseTiles(
  layout: readonly number[],
  options: ChooseTilesOptions,
): Required<Omit<TileOptions, 'keyTiling'>> {
  const { queryTokens = 64, keyTokens = 64 } = options;
  const axes = resolveNeighborhood(layout, options);
  const known = new Map<string, AxisSimulation>();
  const axisOf = (axis: number, queryTile: number, keyTile: number) => {
    const key = `${axis},${queryTile},${keyTile}`;
    const found =
      known.get(key) ??
      simulateAxis(layout[axis] as number, {
        ...{ window: axes.window[axis] as number, stride: axes.stride[axis] as number, keyTiling: 'static' },
        ...{ dilation: axes.dilation[axis] as number, causal: axes.causal[axis] as boolean, queryTile, keyTile },
      });
    known.set(key, found);
    return found;
  };
  let best: { readonly queryTile: number[]; readonly keyTile: number[]; readonly cost: number } | undefined;
  for (const queryTile of tileShapes(layout, queryTokens)) {
    for (const keyTile of tileShapes(layout, keyTokens)) {
      const cost = layout.reduce((total, size, axis) => {
        const [own, other] = [queryTile[axis] as number, keyTile[axis] as number];
        const step = own * (axes.dilation[axis] as number);
        return total * Math.ceil(size / step) * step * axisOf(axis, own, other).mean * other;
      }, 1);
      if (!best || cost < best.cost) best = { queryTile, keyTile, cost };
    }
  }
  const { queryTile, keyTile } = best as NonNullable<typeof best>;
  return { queryTile, keyTile };
}

export interface FindPerfectOptions {
  /** The window that is wished for; those up to a factor of two away along each axis are tried, the nearest come first. */
  readonly window: PerAxis<number>;
  /** Tokens of a tile, powers of two. Default 64 each. */
  readonly queryTokens?: number;
  readonly keyTokens?: number;
  /** Default `static`. */
  readonly keyTiling?: 'static' | 'dynamic';
  /** Settings that are returned at most. Default 10. */
  readonly limit?: number;
}

/** A setting that wastes no work. */
export interface PerfectSetting extends Required<Omit<TileOptions, 'keyTiling'>>, Simulation {
  readonly window: readonly number[];
  readonly stride: readonly number[];
  /** Share of the keys that a query sees. */
  readonly density: number;
}

/**
 * Windows, strides and shapes of tiles that are perfectly block-sparse: the bound by tiles is that by FLOPs. Of each window the smallest
 * such stride is taken. Windows nearest to the wished one come first, then those of the smallest strides.
 *
 * @throws ArgumentError
 */
export function findPerfect(layout: readonly number[], options: FindPerfectOptions): PerfectSetting[] {
  const { window: wished } = resolveNeighborhood(layout, { window: options.window });
  const { queryTokens = 64, keyTokens = 64, keyTiling = 'static', limit = 10 } = options;
  const known = new Map<string, AxisSetting[]>();
  const ofAxis = (axis: number, queryTile: number, keyTile: number) => {
    const key = `${axis},${queryTile},${keyTile}`;
    const size = layout[axis] as number;
    const input = { size, wished: wished[axis] as number, queryTile, keyTile, keyTiling };
    const found = known.get(key) ?? perfectAxis(input);
    known.set(key, found);
    return found;
  };
  const settings = new Map<string, PerfectSetting>();
  for (const queryTile of tileShapes(layout, queryTokens)) {
    for (const keyTile of tileShapes(layout, keyTokens)) {
      const axes = layout.map((_, axis) => ofAxis(axis, queryTile[axis] as number, keyTile[axis] as number));
      for (const entries of combinations(axes)) {
        const window = entries.map((entry) => entry.window);
        const stride = entries.map((entry) => entry.stride);
        const same = settings.get(String(window));
        if (same && product(stride) >= product(same.stride)) continue;
        const simulation = combineAxes(
          layout,
          entries.map(({ found }) => found),
        );
        const setting = { ...simulation, queryTile, keyTile, window, stride, density: 1 / simulation.flopSpeedup };
        if (simulation.perfectlyBlockSparse) settings.set(String(window), setting);
      }
    }
  }
  const distance = ({ window }: PerfectSetting) =>
    window.reduce((total, size, axis) => total + Math.abs(Math.log(size / (wished[axis] as number))), 0);
  return [...settings.values()]
    .sort((a, b) => distance(a) - distance(b) || product(a.stride) - product(b.stride))
    .slice(0, limit);
}

interface AxisSetting {
  readonly window: number;
  readonly stride: number;
  readonly found: AxisSimulation;
}

interface AxisSearch {
  readonly size: number;
  readonly wished: number;
  readonly queryTile: number;
  readonly keyTile: number;
  readonly keyTiling: 'static' | 'dynamic';
}

/** Of each window of an axis near the wished one the smallest stride at which its tiles hold no key beyond it. */
function perfectAxis({ size, wished, ...tiles }: AxisSearch): AxisSetting[] {
  const windows = upTo(Math.min(size, 2 * wished)).filter(
    (window) => window >= Math.max(2, wished / 2) && (window % tiles.keyTile === 0 || window === size),
  );
  return windows.flatMap((window) => {
    const stride = upTo(window).find((candidate) => isPerfect(size, window, candidate, tiles));
    if (stride === undefined) return [];
    return [
      { window, stride, found: simulateAxis(size, { ...{ window, stride, ...tiles }, dilation: 1, causal: false }) },
    ];
  });
}

/** Whether no tile of queries visits more tiles of keys than its share by FLOPs; most strides fail at the first tiles. */
function isPerfect(
  size: number,
  window: number,
  stride: number,
  { queryTile, keyTile, keyTiling }: Pick<AxisSearch, 'queryTile' | 'keyTile' | 'keyTiling'>,
): boolean {
  const total = Math.ceil(size / keyTile);
  for (let at = 0; at < size; at += queryTile) {
    const { start } = neighbourhoodWindow(at, size, { window, stride });
    const { end } = neighbourhoodWindow(Math.min(at + queryTile, size) - 1, size, { window, stride });
    const [first, last] = keyTiling === 'static' ? [Math.floor(start / keyTile) * keyTile, end] : [start, end];
    if (Math.ceil((last - first) / keyTile) * size > total * window) return false;
  }
  return true;
}
