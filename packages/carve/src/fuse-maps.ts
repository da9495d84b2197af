import { ArgumentError, ShapeError } from '@saccade/core';

/** Pixels of a picture. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/** `time`: step t counts t + 1 times; `uniform`: all alike. */
export type FusionWeights = 'time' | 'uniform';

/**
 * Weighted sum of maps, enlarged bilinearly with half-pixel centres. Enlarging is linear, so that the sum is made first and
 * enlarged once.
 *
 * @param maps by step and layer: [T][Ls][rows * columns]
 * @returns f32 [height * width], row by row
 * @throws ShapeError for a map that does not fill the grid; ArgumentError for no map
 */
export function fuseMaps(
  maps: readonly (readonly ArrayLike<number>[])[],
  grid: { readonly rows: number; readonly columns: number },
  size: Size,
  weights: FusionWeights = 'time',
): Float32Array {
  const { rows, columns } = grid;
  const cells = rows * columns;
  if (!maps.some((layers) => layers.length > 0)) throw new ArgumentError('maps', 'none', 'at least one map');
  const sum = new Float64Array(cells);
  maps.forEach((layers, step) => {
    const weight = weights === 'time' ? step + 1 : 1;
    for (const map of layers) {
      if (map.length !== cells)
        throw new ShapeError('fuseMaps', `a map has ${map.length} tokens; the grid is ${rows} x ${columns}.`);
      for (let cell = 0; cell < cells; cell++) sum[cell] = (sum[cell] as number) + weight * (map[cell] as number);
    }
  });
  return enlarge(sum, grid, size);
}

function enlarge(
  map: Float64Array,
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { height, width }: Size,
): Float32Array {
  const [down, across] = [places(rows, height), places(columns, width)];
  const out = new Float32Array(height * width);
  down.forEach(([top, bottom, y], row) => {
    across.forEach(([left, right, x], column) => {
      const at = (r: number, c: number) => map[r * columns + c] as number;
      const upper = at(top, left) * (1 - x) + at(top, right) * x;
      const lower = at(bottom, left) * (1 - x) + at(bottom, right) * x;
      out[row * width + column] = upper * (1 - y) + lower * y;
    });
  });
  return out;
}

/** The two cells that a pixel lies between, and its share of the second. */
function places(cells: number, pixels: number): [first: number, second: number, share: number][] {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(Math.max(((pixel + 0.5) * cells) / pixels - 0.5, 0), cells - 1);
    const first = Math.floor(place);
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}
