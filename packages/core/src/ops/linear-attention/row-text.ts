import type { BindingDeclaration, Variant } from '../../kernels/kernel.ts';
import { type FeatureMap, featureCount } from './feature-map.ts';
import type { ChunkSizes } from './sizes.ts';

/** Elements that a kernel moves at once. */
export type Width = 1 | 4;

/** The widest access that rows of all these sizes allow. */
export function commonWidth(...sizes: readonly number[]): Width {
  return sizes.every((size) => size % 4 === 0) ? 4 : 1;
}

/** WGSL type of one access. */
export function vectorType(width: Width): 'f32' | 'vec4<f32>' {
  return width === 4 ? 'vec4<f32>' : 'f32';
}

/** A binding of f32 numbers in accesses of `width`. */
export function rowBinding(
  name: string,
  width: Width,
  access: BindingDeclaration['access'] = 'read',
): BindingDeclaration {
  return { name, type: `array<${vectorType(width)}>`, access };
}

/** WGSL lines, one per register of a row that an invocation holds. */
export function each(count: number, line: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => line(at)).join('\n  ');
}

/** WGSL sum of products of two rows of `count` accesses. */
export function rowProduct(count: number, width: Width, left: (at: number) => string, right: (at: number) => string) {
  const product = (at: number) => (width === 4 ? `dot(${left(at)}, ${right(at)})` : `${left(at)} * ${right(at)}`);
  return Array.from({ length: count }, (_, at) => product(at)).join(' + ');
}

/** The largest divisor of `count` that is at most `most`: accesses of a row that one invocation holds in registers. */
export function largestDivisor(count: number, most: number): number {
  let divisor = Math.min(count, most);
  while (count % divisor !== 0) divisor--;
  return divisor;
}

/**
 * WGSL of the rows within a chunk that one tile of `lanes` rows goes over, in the order of time or against it: `row` is the invocation's
 * own, `tile_first` and `tile_end` bound the tile, `chunk_first` and `chunk_end` the chunk. All invocations of a tile run over the same others,
 * so that these are loaded once; `seen` tells which count.
 */
export function rowsOfTile(lanes: number): string {
  return `
  let tiles_per_chunk = (params.chunk + ${lanes - 1}u) / ${lanes}u;
  let tiles = params.chunks * tiles_per_chunk;
  let tile = group % tiles;
  let outer = group / tiles;
  let chunk = tile / tiles_per_chunk;
  let chunk_first = chunk * params.chunk;
  let chunk_end = min(chunk_first + params.chunk, params.rows);
  let tile_first = chunk_first + (tile % tiles_per_chunk) * ${lanes}u;
  let tile_end = min(tile_first + ${lanes}u, chunk_end);
  let row = tile_first + lane;
  if (row >= chunk_end) { return; }`;
}

/** What the WGSL of kernels whose invocations own a row depends on. */
export interface RowVariant extends Variant {
  readonly map: FeatureMap;
  readonly width: Width;
  /** Accesses of a row of queries or keys. */
  readonly size: number;
  /** Accesses of a row of values that an invocation reads or makes. */
  readonly columns: number;
  /** Rows see those behind them instead of those before. */
  readonly reverse: boolean;
  /** Chunks begin with a state. */
  readonly carried: boolean;
  readonly lanes: number;
}

/** Scalars of kernels over {@link rowsOfTile}. */
export const rowParameters = [
  ['rows', 'u32'],
  ['chunk', 'u32'],
  ['chunks', 'u32'],
  ['size', 'u32'],
  ['features', 'u32'],
  ['scale', 'f32'],
  ['root', 'f32'],
] as const;

export function rowValues({ rows, chunk, chunks, size, map, scale }: ChunkSizes): number[] {
  return [rows, chunk, chunks, size, featureCount(map, size), scale, Math.sqrt(scale)];
}

/** WGSL that loads the invocation's row of `own_rows`, times the scale, into registers `own0`, `own1`... */
export function ownRow({ size }: RowVariant): string {
  return `let from_own = (base + row) * ${size}u;
  ${each(size, (at) => `let own${at} = params.scale * own_rows[from_own + ${at}u];`)}`;
}

/** WGSL of number `at` of a row that is held in registers `name`0, `name`1... of `width` numbers. */
export function numberOf(name: string, at: number, width: Width): string {
  return `${name}${Math.floor(at / width)}${width === 4 ? `[${at % 4}]` : ''}`;
}

/**
 * WGSL loop over the rows `other` that a causal row may see: those up to its own, or with `reverse` from its own on. `body` has `s`, the product of
 * {@link ownRow} and the other row, which begins at `from_other` in `other_rows`.
 */
export function othersLoop({ reverse, size, width }: RowVariant, body: string): string {
  const own = (at: number) => `own${at}`;
  const [from, to, seen] = reverse
    ? ['tile_first', 'chunk_end', 'other >= row']
    : ['chunk_first', 'tile_end', 'other <= row'];
  return `
  for (var other = ${from}; other < ${to}; other++) {
    let seen = ${seen};
    let from_other = (base + other) * ${size}u;
    let s = ${rowProduct(size, width, own, (at) => `other_rows[from_other + ${at}u]`)};
    ${body}
  }`;
}
