import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkInteger } from './check-inputs.ts';
import { checkNeighbourhood, orderOf } from './grid-text.ts';
import type { BlockList } from './lists.ts';
import type { NeighbourhoodMask } from './mask.ts';

/** Window, stride and causality of one axis. */
export interface NeighbourhoodAxis {
  readonly window: number;
  /** Default 1. */
  readonly stride?: number;
  /** Default false. */
  readonly causal?: boolean;
}

/** The keys [start, end) that the query at `at` sees on an axis of `length` tokens without dilation; see `NeighbourhoodMask`. */
export function neighbourhoodWindow(
  at: number,
  length: number,
  { window, stride = 1, causal = false }: NeighbourhoodAxis,
): { start: number; end: number } {
  const group = Math.floor(at / stride) * stride;
  if (causal) {
    const leader = Math.min(group + stride - 1, length - 1);
    return { start: Math.max(leader - window + 1, 0), end: at + 1 };
  }
  const leader = Math.min(group + Math.floor(stride / 2), length - 1);
  const start = Math.min(Math.max(leader - Math.floor(window / 2), 0), length - window);
  return { start, end: start + window };
}

/**
 * What the queries of a tile see on one axis: keys [firstKey, lastKey), which stand in the tiles [begin, end); of these, every query sees all of
 * [fullBegin, fullEnd).
 */
export interface AxisTiles {
  readonly firstKey: number;
  readonly lastKey: number;
  readonly begin: number;
  readonly end: number;
  readonly fullBegin: number;
  readonly fullEnd: number;
}

/**
 * The {@link AxisTiles} of each tile of queries along an axis of `length` tokens. Windows never move back from one query to the next, and those
 * of neighbours touch: a tile's first and last query tell it all.
 */
export function neighbourhoodAxisTiles(
  length: number,
  { queryTile, keyTile, ...axis }: NeighbourhoodAxis & { readonly queryTile: number; readonly keyTile: number },
): AxisTiles[] {
  return Array.from({ length: Math.ceil(length / queryTile) }, (_, tile) => {
    const first = neighbourhoodWindow(tile * queryTile, length, axis);
    const last = neighbourhoodWindow(Math.min((tile + 1) * queryTile, length) - 1, length, axis);
    const fullBegin = Math.ceil(last.start / keyTile);
    return {
      ...{ firstKey: first.start, lastKey: last.end },
      begin: Math.floor(first.start / keyTile),
      end: Math.ceil(last.end / keyTile),
      fullBegin,
      fullEnd: Math.max(Math.floor(first.end / keyTile), fullBegin),
    };
  });
}

export interface NeighbourhoodBlocksOptions {
  readonly batches: number;
  /** Queries and keys beside the grid, which stand behind its tiles. Default 0. */
  readonly otherQueries?: number;
  readonly otherKeys?: number;
}

/** Lists of blocks, and how many there are of each kind. */
export interface NeighbourhoodBlocks {
  /** u32 [B, 1, ceil(N' / queryBlock), K], with counts and numbers of full blocks on the device. */
  readonly list: BlockList & { readonly counts: Tensor; readonly full: Tensor };
  /** Listed blocks over all query blocks, and of them those that are not full. Where none is, `list` alone says where to look. */
  readonly listed: number;
  readonly partial: number;
}

/**
 * The blocks of keys that the queries of each block see in a neighbourhood whose tokens stand tile by tile (`tokenPermute`): a block
 * is a tile. Found on the host, axis by axis, at a cost that grows with the lists alone; nothing is read back. Pass the list as `blocks` together
 * with the mask: full blocks are looked at without asking it.
 *
 * @param mask with `tiles`, from position 0 on
 * @throws ArgumentError
 */
export function neighbourhoodBlocks(
  gpu: Gpu,
  mask: NeighbourhoodMask,
  { batches, otherQueries = 0, otherKeys = 0 }: NeighbourhoodBlocksOptions,
): NeighbourhoodBlocks {
  checkNeighbourhood(mask);
  for (const [name, value] of Object.entries({ otherQueries, otherKeys })) {
    checkInteger(`neighbourhoodBlocks: ${name}`, value, 0, 2 ** 30);
  }
  checkInteger('neighbourhoodBlocks: batches', batches, 1, 2 ** 30);
  if (!mask.tiles)
    throw new ArgumentError('neighbourhoodBlocks: mask tiles', undefined, 'sizes of tiles of queries and keys');
  if (mask.start) throw new ArgumentError('neighbourhoodBlocks: mask start', mask.start, '0');
  const lists = hostLists(mask, otherQueries, otherKeys);
  const width = Math.max(1, ...lists.map(({ full, partial }) => full.length + partial.length));
  const indices = new Uint32Array(batches * lists.length * width);
  lists.forEach(({ full, partial }, row) => {
    indices.set([...full, ...partial], row * width);
  });
  const counts = lists.map(({ full, partial }) => full.length + partial.length);
  const whole = lists.map(({ full }) => full.length);
  const repeated = (values: readonly number[]) => Array.from({ length: batches }, () => values).flat();
  for (let batch = 1; batch < batches; batch++)
    indices.copyWithin(batch * lists.length * width, 0, lists.length * width);
  const shape = [batches, 1, lists.length];
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    list: {
      indices: gpu.tensor(indices, [...shape, width], 'u32'),
      counts: gpu.tensor(repeated(counts), shape, 'u32'),
      full: gpu.tensor(repeated(whole), shape, 'u32'),
      queryBlock: orderOf(mask, 'query').tileTokens,
      keyBlock: orderOf(mask, 'key').tileTokens,
      per: 'kvHead',
    },
    listed: sum(counts),
    partial: sum(counts) - sum(whole),
  };
}

/** Blocks that a block of queries looks at. */
interface HostList {
  readonly full: number[];
  readonly partial: number[];
}

const range = (begin: number, end: number) => Array.from({ length: Math.max(end - begin, 0) }, (_, at) => begin + at);

/** All combinations of one entry per axis, the last one fastest. */
function combinations<T>(axes: readonly (readonly T[])[]): T[][] {
  return axes.reduce<T[][]>(
    (all, entries) => all.flatMap((before) => entries.map((entry) => [...before, entry])),
    [[]],
  );
}

/** The list of each block of queries. */
function hostLists(mask: NeighbourhoodMask, otherQueries: number, otherKeys: number): HostList[] {
  const { grid, window, stride, causal, tiles, others } = mask;
  const queryOrder = orderOf(mask, 'query');
  const keyOrder = orderOf(mask, 'key');
  const gridBlocks = keyOrder.gridRows / keyOrder.tileTokens;
  const otherBlocks = range(gridBlocks, gridBlocks + Math.ceil(otherKeys / keyOrder.tileTokens));
  const seenOthers = others === 'seen' ? otherBlocks : [];
  const tilesPerGroup = gridBlocks / keyOrder.dilation.reduce((total, step) => total * step, 1);
  const lists: HostList[] = [];
  const allBlocks: HostList = { full: [...seenOthers], partial: [] };
  combinations(keyOrder.dilation.map((step) => range(0, step))).forEach((group, groupNumber) => {
    // Of each axis, the tiles of queries of this interleaved grid; those of nothing but padding see nothing.
    const axes = grid.map((size, axis) => {
      const step = keyOrder.dilation[axis] as number;
      const length = Math.ceil((size - (group[axis] as number)) / step);
      const [queryTile, keyTile] = [tiles?.query[axis] as number, tiles?.key[axis] as number];
      const found = neighbourhoodAxisTiles(length, {
        ...{ window: window[axis] as number, stride: stride?.[axis] ?? 1, causal: causal?.[axis] ?? false },
        ...{ queryTile, keyTile },
      });
      const missing = (queryOrder.tiles[axis] as number) - found.length;
      const whole = Math.floor(length / keyTile);
      const held = Math.ceil(length / keyTile);
      return { found: [...found, ...Array.from({ length: missing }, () => undefined)], whole, held };
    });
    const blockOf = (place: readonly number[]) =>
      groupNumber * tilesPerGroup + place.reduce((total, at, axis) => total * (keyOrder.tiles[axis] as number) + at, 0);
    for (const own of combinations(axes.map(({ found }) => found))) {
      const list: HostList = { full: [...seenOthers], partial: [] };
      lists.push(list);
      if (own.includes(undefined)) continue;
      const seen = own as AxisTiles[];
      for (const place of combinations(seen.map(({ begin, end }) => range(begin, end)))) {
        const full = place.every((at, axis) => {
          const { fullBegin, fullEnd } = seen[axis] as AxisTiles;
          return at >= fullBegin && at < fullEnd;
        });
        (full ? list.full : list.partial).push(blockOf(place));
      }
    }
    for (const place of combinations(axes.map(({ held }) => range(0, held)))) {
      const full = place.every((at, axis) => at < (axes[axis]?.whole as number));
      (full ? allBlocks.full : allBlocks.partial).push(blockOf(place));
    }
  });
  const empty: HostList = { full: [], partial: [] };
  const ofOthers = others === 'seen' ? allBlocks : empty;
  return [...lists, ...range(0, Math.ceil(otherQueries / queryOrder.tileTokens)).map(() => ofOthers)];
}
