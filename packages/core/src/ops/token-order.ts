import { ArgumentError } from '../errors.ts';

/**
 * An order of the tokens of a grid in which neighbours stand together: tile by tile. With a dilation, the interleaved grids of
 * tokens that far apart stand one behind the other, each tile by tile. Tiles at the ends of axes are filled up with padding. Tokens
 * beside the grid, such as those of a text, keep their order and stand behind all tiles.
 */
export interface TokenOrder {
  /** Sizes of the grid, slowest axis first: [length], [height, width] or [frames, height, width]. */
  readonly grid: readonly number[];
  /** Sizes of a tile, as many as the grid has axes. */
  readonly tile: readonly number[];
  /** Per axis; default 1. */
  readonly dilation?: readonly number[];
  /** The grid's first token. Default 0. */
  readonly start?: number;
}

/** The sizes that follow from a {@link TokenOrder}. */
export interface TokenOrderSizes {
  /** Tokens of the grid, without padding. */
  readonly gridTokens: number;
  /** Rows that the grid takes, with padding. */
  readonly gridRows: number;
  readonly tileTokens: number;
  /** Tiles along each axis of one interleaved grid. */
  readonly tiles: readonly number[];
  /** Interleaved grids along each axis. */
  readonly dilation: readonly number[];
}

/** Places in a grid are computed in f32, which is exact up to here. */
export const mostGridRows = 2 ** 20;

const product = (values: readonly number[]) => values.reduce((total, value) => total * value, 1);

/** @throws ArgumentError for a grid of 0 or over 3 axes or of over 2^20 rows, and sizes that are not positive integers for each axis */
export function tokenOrderSizes(operation: string, { grid, tile, dilation, start = 0 }: TokenOrder): TokenOrderSizes {
  if (grid.length < 1 || grid.length > 3) throw new ArgumentError(`${operation}: grid`, grid, '1 to 3 axes');
  const steps = dilation ?? grid.map(() => 1);
  for (const [name, sizes] of Object.entries({ grid, tile, dilation: steps })) {
    const valid = sizes.length === grid.length && sizes.every((size) => Number.isInteger(size) && size >= 1);
    if (!valid) throw new ArgumentError(`${operation}: ${name}`, sizes, `${grid.length} positive integers`);
  }
  if (!Number.isInteger(start) || start < 0) throw new ArgumentError(`${operation}: start`, start, 'an integer >= 0');
  const tiles = grid.map((size, axis) => Math.ceil(size / ((tile[axis] as number) * (steps[axis] as number))));
  const tileTokens = product(tile);
  const gridRows = product(steps) * product(tiles) * tileTokens;
  if (gridRows > mostGridRows) throw new ArgumentError(`${operation}: grid`, grid, `up to ${mostGridRows} rows`);
  return { gridTokens: product(grid), gridRows, tileTokens, tiles, dilation: steps };
}

/** Vectors of as many integers as a grid has axes, in WGSL. */
export const gridVector = (rank: number): string => ['i32', 'vec2i', 'vec3i'][rank - 1] as string;

/** Elements of such a vector. */
export const gridElements = (rank: number, vector: string): string[] =>
  rank === 1 ? [vector] : Array.from({ length: rank }, (_, axis) => `${vector}[${axis}]`);

/**
 * Declares, for whole numbers below 2^20: `<id>_part(a, b)`, a / b of i32; `<id>_quotient(a, b)`, the same of vectors;
 * `<id>_place(at, size)`, the place of a token in a grid of that size, row-major; and `<id>_number(place, size)`, its inverse.
 *
 * Divisions of integers are dear on software adapters, so they are made in f32: (a + 1/2) / b is at least 1 / (2 b) away from any whole number,
 * and the quotient's error smaller, as long as a is below 2^23 / 5.
 */
export function gridMathText(id: string, rank: number): string {
  const vector = gridVector(rank);
  const floats = ['f32', 'vec2f', 'vec3f'][rank - 1] as string;
  const bodies = [
    ['return at;', 'return place;'],
    [
      `let first = ${id}_part(at, size.y); return vec2i(first, at - first * size.y);`,
      'return place.x * size.y + place.y;',
    ],
    [
      `let rows = ${id}_part(at, size.z); let first = ${id}_part(rows, size.y);
  return vec3i(first, rows - first * size.y, at - rows * size.z);`,
      'return (place.x * size.y + place.y) * size.z + place.z;',
    ],
  ] as const;
  const [place, number] = bodies[rank - 1] as readonly [string, string];
  return `
fn ${id}_part(a: i32, b: i32) -> i32 { return i32((f32(a) + 0.5) / f32(b)); }
fn ${id}_quotient(a: ${vector}, b: ${vector}) -> ${vector} { return ${vector}((${floats}(a) + 0.5) / ${floats}(b)); }
fn ${id}_place(at: i32, size: ${vector}) -> ${vector} { ${place} }
fn ${id}_number(place: ${vector}, size: ${vector}) -> i32 { ${number} }`;
}

/** Names and numbers of an order, as WGSL. */
export interface TokenOrderText {
  /** Of {@link gridMathText}. */
  readonly id: string;
  readonly rank: number;
  /** Vectors of i32. */
  readonly size: string;
  readonly tile: string;
  /** i32. */
  readonly tileTokens: string;
  /** A vector; empty without one. */
  readonly dilation: string;
}

const tileCounts = ({ id, size, tile, dilation }: TokenOrderText): string => {
  const step = dilation === '' ? tile : `${tile} * ${dilation}`;
  return `${id}_quotient(${size} + ${step} - 1, ${step})`;
};

const perGroup = (rank: number) => gridElements(rank, 'counts').join(' * ');

/** Statements that declare `inner` and `group` of the token in row `row`: its place in its interleaved grid, and which one that is. */
export function tokenOfRowText(order: TokenOrderText): string {
  const { id, rank, tile, tileTokens, dilation } = order;
  const ofTile =
    dilation === ''
      ? `let tile_place = ${id}_place(tile_number, counts);
  let group = ${gridVector(rank)}();`
      : `let per_group = ${perGroup(rank)};
  let group_number = ${id}_part(tile_number, per_group);
  let tile_place = ${id}_place(tile_number - group_number * per_group, counts);
  let group = ${id}_place(group_number, ${dilation});`;
  return `let tile_number = ${id}_part(row, ${tileTokens});
  let counts = ${tileCounts(order)};
  ${ofTile}
  let inner = tile_place * ${tile} + ${id}_place(row - tile_number * ${tileTokens}, ${tile});`;
}

/** Statements that declare `row` of the token at `place`, a vector. */
export function rowOfTokenText(order: TokenOrderText): string {
  const { id, rank, tile, tileTokens, dilation } = order;
  const ofGroup =
    dilation === ''
      ? `let inner = place;
  let group_number = 0;`
      : `let inner = ${id}_quotient(place, ${dilation});
  let group_number = ${id}_number(place - inner * ${dilation}, ${dilation});`;
  return `${ofGroup}
  let counts = ${tileCounts(order)};
  let tile_place = ${id}_quotient(inner, ${tile});
  let tile_number = group_number * (${perGroup(rank)}) + ${id}_number(tile_place, counts);
  let row = tile_number * ${tileTokens} + ${id}_number(inner - tile_place * ${tile}, ${tile});`;
}
