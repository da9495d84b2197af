import { ArgumentError, type AxisTiles, neighbourhoodAxisTiles, neighbourhoodWindow } from '@saccade/core';
import { type NeighborhoodOptions, resolveNeighborhood } from './neighborhood.ts';

/** Shapes of the tiles that a kernel works in, and where tiles of keys may begin. */
export interface TileOptions {
  /** Queries of a tile, per axis. */
  readonly queryTile: readonly number[];
  /** Keys of a tile, per axis. */
  readonly keyTile: readonly number[];
  /**
   * `static` (the default): keys are tiled once, and a tile that is touched is visited whole. `dynamic`: each tile of queries tiles the range that it
   * sees, from its first key on.
   */
  readonly keyTiling?: 'static' | 'dynamic';
}

export interface SimulateOptions extends NeighborhoodOptions, TileOptions {}

/** What a layout costs in tiles, without running it. */
export interface Simulation {
  /** Tiles of keys that dense attention visits per tile of queries. */
  readonly keyTilesTotal: number;
  /** Tiles of keys that the busiest tile of queries visits: what bounds a kernel whose workgroups run side by side. */
  readonly keyTilesVisitedMax: number;
  /** The mean over the tiles of queries: what bounds one whose workgroups queue. */
  readonly keyTilesVisitedMean: number;
  /** Bound by FLOPs: all pairs over visible pairs. */
  readonly flopSpeedup: number;
  /** Bound by tiles: total over visited (most). */
  readonly tileSpeedup: number;
  /** No tile holds a hidden pair beyond what FLOPs count: the two bounds are equal. */
  readonly perfectlyBlockSparse: boolean;
}

/** Numbers of one axis. */
export interface AxisSimulation {
  readonly total: number;
  readonly most: number;
  readonly mean: number;
  /** Keys that a query sees, on average. */
  readonly visible: number;
}

interface AxisInput {
  readonly window: number;
  readonly stride: number;
  readonly dilation: number;
  readonly causal: boolean;
  readonly queryTile: number;
  readonly keyTile: number;
  readonly keyTiling: 'static' | 'dynamic';
}

/** Axes are separable: a tile visits the product of what it visits along each. */
export function simulateAxis(size: number, input: AxisInput): AxisSimulation {
  const { window, dilation, causal, keyTile, keyTiling } = input;
  const visited = ({ begin, end, firstKey, lastKey }: AxisTiles) =>
    keyTiling === 'static' ? end - begin : Math.ceil((lastKey - firstKey) / keyTile);
  const counts: number[] = [];
  let visible = 0;
  for (let group = 0; group < dilation; group++) {
    const length = Math.ceil((size - group) / dilation);
    counts.push(...neighbourhoodAxisTiles(length, input).map(visited));
    if (!causal) visible += length * window;
    else for (let at = 0; at < length; at++) visible += at + 1 - neighbourhoodWindow(at, length, input).start;
  }
  return {
    total: Math.ceil(size / keyTile),
    most: Math.max(...counts),
    mean: counts.reduce((sum, count) => sum + count, 0) / counts.length,
    visible: visible / size,
  };
}

/** Puts axes together. */
export function combineAxes(layout: readonly number[], axes: readonly AxisSimulation[]): Simulation {
  const product = (of: (axis: AxisSimulation) => number) => axes.reduce((total, axis) => total * of(axis), 1);
  const tokens = layout.reduce((total, size) => total * size, 1);
  const [keyTilesTotal, keyTilesVisitedMax] = [product(({ total }) => total), product(({ most }) => most)];
  const flopSpeedup = tokens / product(({ visible }) => visible);
  const tileSpeedup = keyTilesTotal / keyTilesVisitedMax;
  return {
    ...{ keyTilesTotal, keyTilesVisitedMax, flopSpeedup, tileSpeedup },
    keyTilesVisitedMean: product(({ mean }) => mean),
    perfectlyBlockSparse: tileSpeedup >= flopSpeedup * (1 - 1e-12),
  };
}

/** @throws ArgumentError */
export function checkTiles(layout: readonly number[], { queryTile, keyTile, keyTiling }: TileOptions): void {
  for (const [name, tile] of Object.entries({ queryTile, keyTile })) {
    if (tile.length !== layout.length || tile.some((size) => !Number.isInteger(size) || size < 1)) {
      throw new ArgumentError(name, tile, `${layout.length} positive integers`);
    }
  }
  if (keyTiling !== undefined && keyTiling !== 'static' && keyTiling !== 'dynamic') {
    throw new ArgumentError('keyTiling', keyTiling, "'static', 'dynamic'");
  }
}

/**
 * How many tiles of keys a neighbourhood visits, and what speed-up that bounds (the paper's simulator, appendix B.1). The
 * published figures are those of the busiest tile under static tiling.
 *
 * @param layout token counts per axis, such as [frames, height, width]
 * @throws ArgumentError for windows, strides or tiles that do not fit
 */
export function simulate(layout: readonly number[], options: SimulateOptions): Simulation {
  const { window, stride, dilation, causal } = resolveNeighborhood(layout, options);
  checkTiles(layout, options);
  const { queryTile, keyTile, keyTiling = 'static' } = options;
  const axes = layout.map((size, axis) =>
    simulateAxis(size, {
      window: window[axis] as number,
      stride: stride[axis] as number,
      dilation: dilation[axis] as number,
      causal: causal[axis] as boolean,
      queryTile: queryTile[axis] as number,
      keyTile: keyTile[axis] as number,
      keyTiling,
    }),
  );
  return combineAxes(layout, axes);
}

/** Speed-up of a whole of which attention takes `attentionShare` of the time, where attention alone gets `attentionSpeedup`. */
export function endToEndSpeedup(attentionShare: number, attentionSpeedup: number): number {
  if (!(attentionShare >= 0 && attentionShare <= 1)) {
    throw new ArgumentError('attentionShare', attentionShare, 'a number from 0 to 1');
  }
  if (!(attentionSpeedup > 0)) throw new ArgumentError('attentionSpeedup', attentionSpeedup, 'a number over 0');
  return 1 / (1 - attentionShare + attentionShare / attentionSpeedup);
}
