import type { Pixels } from '../protocol.ts';

/** The hue of attention: readable on light and on dark pages, laid on with more or less of it. */
const hue = [36, 120, 255] as const;

/** How strongly a probability is drawn, in [0, 1]: its square root, since most are small beside the largest. */
export function strength(probability: number, most: number): number {
  return most > 0 ? Math.sqrt(Math.min(1, probability / most)) : 0;
}

/** Layers below each other, keys beside each other, one pixel each. */
export function heatPixels(layers: readonly (Float32Array | undefined)[], keys: number): Pixels {
  const height = Math.max(1, layers.length);
  const width = Math.max(1, keys);
  const data = new Uint8ClampedArray(4 * width * height);
  layers.forEach((row, y) => {
    const most = row ? Math.max(...row) : 0;
    for (let x = 0; x < width; x++) data.set([...hue, 255 * strength(row?.[x] ?? 0, most)], 4 * (y * width + x));
  });
  return { width, height, data };
}

/** One layer over a grid: `positions` say which key a cell is, all keys in order by default. */
export function gridPixels(
  row: Float32Array | undefined,
  {
    rows,
    columns,
    positions,
  }: { readonly rows: number; readonly columns: number; readonly positions: readonly number[] | undefined },
): Pixels {
  const data = new Uint8ClampedArray(4 * rows * columns);
  const values = Array.from({ length: rows * columns }, (_, cell) => row?.[positions?.[cell] ?? cell] ?? 0);
  const most = Math.max(...values);
  values.forEach((value, cell) => {
    data.set([...hue, 255 * strength(value, most)], 4 * cell);
  });
  return { width: columns, height: rows, data };
}

/** The mean over layers that were recorded. */
export function meanOfLayers(layers: readonly (Float32Array | undefined)[]): Float32Array {
  const recorded = layers.filter((row) => row !== undefined);
  const out = new Float32Array(Math.max(0, ...recorded.map((row) => row.length)));
  for (const row of recorded) {
    for (let key = 0; key < row.length; key++) out[key] = (out[key] ?? 0) + (row[key] ?? 0) / recorded.length;
  }
  return out;
}

/** How many keys got any probability, of all that there were; of several layers the mean. */
export function keysLookedAt(layers: readonly (Float32Array | undefined)[]): string {
  const recorded = layers.filter((row) => row !== undefined);
  const [first] = recorded;
  if (!first) return 'not recorded';
  const counts = recorded.map((row) => row.reduce((count, value) => count + Number(value > 0), 0));
  const mean = Math.round(counts.reduce((sum, count) => sum + count, 0) / counts.length);
  return `${mean} of ${first.length}`;
}
