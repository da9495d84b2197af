import {
  ArgumentError,
  type AttentionOrder,
  type BlockList,
  type Gpu,
  type NeighbourhoodMask,
  neighbourhoodBlocks,
  type Tensor,
  type TokenOrder,
  tokenRows,
} from '@saccade/core';
import { isDense, type NeighborhoodOptions, resolveNeighborhood } from './neighborhood.ts';
import { chooseTiles } from './search.ts';
import { checkTiles } from './simulate.ts';

/** A neighbourhood of one layout, and how its tokens are tiled. */
export interface NeighborhoodPlanOptions extends NeighborhoodOptions {
  /** Shapes of the tiles of queries and of keys, per axis: both or none. Default: those of 64 tokens that visit the fewest keys. */
  readonly queryTile?: readonly number[];
  readonly keyTile?: readonly number[];
}

/** What a plan is made for. */
export interface PlannedTokens {
  /** Token counts per axis, slowest first. */
  readonly layout: readonly number[];
  readonly batches: number;
  /** Tokens of the sequence before the grid's first. Default 0. */
  readonly start?: number;
  /** Queries and keys beside the grid: they see all and are seen by all. Default 0. */
  readonly otherQueries?: number;
  readonly otherKeys?: number;
}

/**
 * Everything that does not depend on the tensors: the two orders of tokens and their tables, the mask and the lists of blocks. Make it once per
 * layout and use it for every layer and step; dispose it.
 */
export class NeighborhoodPlan {
  readonly layout: readonly number[];
  readonly batches: number;
  readonly otherQueries: number;
  readonly otherKeys: number;
  /** Everything sees everything: there is nothing to plan. */
  readonly dense: boolean;
  /** How queries and keys stand in tiles; undefined where rows stay where they are. */
  readonly queryOrder: TokenOrder | undefined;
  readonly keyOrder: TokenOrder | undefined;
  /** The same for the attention engine, which then reads and writes tokens where they are; absent where they stand in tiles. */
  readonly tables: { readonly order?: AttentionOrder };
  /** Where the attention engine looks, in these orders. */
  readonly where: { readonly blocks?: BlockList; readonly mask?: NeighbourhoodMask; readonly queryOffset?: 0 };
  /** Blocks of keys that are visited over all blocks of queries, and those of them whose pairs are masked one by one. */
  readonly visitedBlocks: number;
  readonly maskedBlocks: number;
  readonly queryTile: readonly number[];
  readonly keyTile: readonly number[];
  readonly #kept: Tensor[] = [];

  /** @throws ArgumentError for windows, strides and tiles that do not fit the layout */
  constructor(gpu: Gpu, tokens: PlannedTokens, options: NeighborhoodPlanOptions) {
    const { layout, batches, start = 0, otherQueries = 0, otherKeys = 0 } = tokens;
    const axes = resolveNeighborhood(layout, options);
    if ((options.queryTile === undefined) !== (options.keyTile === undefined)) {
      const missing = options.queryTile ? 'keyTile' : 'queryTile';
      throw new ArgumentError(missing, undefined, 'shapes of the tiles of queries and keys, or neither');
    }
    const { queryTile, keyTile } = options.queryTile
      ? { queryTile: options.queryTile, keyTile: options.keyTile as readonly number[] }
      : chooseTiles(layout, axes);
    checkTiles(layout, { queryTile, keyTile });
    this.layout = layout;
    this.batches = batches;
    this.otherQueries = otherQueries;
    this.otherKeys = otherKeys;
    this.queryTile = queryTile;
    this.keyTile = keyTile;
    this.dense = isDense(layout, axes);
    if (this.dense) {
      this.where = {};
      this.tables = {};
      [this.visitedBlocks, this.maskedBlocks] = [0, 0];
      return;
    }
    const { window, stride, dilation, causal } = axes;
    const mask: NeighbourhoodMask = {
      kind: 'neighbourhood',
      ...{ grid: layout, window, tiles: { query: queryTile, key: keyTile } },
      ...(stride.some((size) => size > 1) ? { stride } : {}),
      ...(dilation.some((step) => step > 1) ? { dilation } : {}),
      ...(causal.includes(true) ? { causal } : {}),
      ...(otherQueries + otherKeys > 0 ? { others: 'seen' } : {}),
    };
    const kept = (tensor: Tensor): Tensor => {
      this.#kept.push(gpu.keep(tensor));
      return tensor;
    };
    const { list, listed, partial } = neighbourhoodBlocks(gpu, mask, { batches, otherQueries, otherKeys });
    for (const tensor of [list.indices, list.counts, list.full]) kept(tensor);
    this.visitedBlocks = listed;
    this.maskedBlocks = partial;
    // Where every block is full, nothing is left to mask.
    this.where = { blocks: list, queryOffset: 0, ...(partial > 0 ? { mask } : {}) };
    const order = (tile: readonly number[]): TokenOrder => ({ grid: layout, tile, dilation, start });
    // Tiles of a line are stretches of it: rows stand where they are, if nothing stands beside them.
    const inPlace = layout.length === 1 && dilation[0] === 1 && otherQueries + otherKeys === 0;
    if (inPlace) {
      this.tables = {};
      return;
    }
    this.queryOrder = order(queryTile);
    this.keyOrder = order(keyTile);
    const gridTokens = layout.reduce((total, size) => total * size, 1);
    this.tables = {
      order: {
        queries: kept(tokenRows(gpu, this.queryOrder, { tokens: gridTokens + otherQueries })),
        keys: kept(tokenRows(gpu, this.keyOrder, { tokens: gridTokens + otherKeys, padding: 'repeat' })),
      },
    };
  }

  dispose(): void {
    for (const tensor of this.#kept.splice(0)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
