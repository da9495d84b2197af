import type { BindingDeclaration } from '../../kernels/kernel.ts';

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

/** WGSL loop over the rows `other` that a causal row may see: those up to its own, or with `reverse` from its own on. */
export function othersLoop(reverse: boolean, body: string): string {
  const [from, to, seen] = reverse
    ? ['tile_first', 'chunk_end', 'other >= row']
    : ['chunk_first', 'tile_end', 'other <= row'];
  return `
  for (var other = ${from}; other < ${to}; other++) {
    let seen = ${seen};
    ${body}
  }`;
}
