type Pair = readonly [number, number];

/** Value of a plane between its elements; `outside` says what lies beyond them. */
function between(plane: ArrayLike<number>, size: Pair, y: number, x: number, outside: 'zeros' | 'border'): number {
  const at = (row: number, column: number) => {
    const bounded = (value: number, count: number) => Math.min(Math.max(value, 0), count - 1);
    const inside = row >= 0 && column >= 0 && row < size[0] && column < size[1];
    if (!inside && outside === 'zeros') return 0;
    return plane[bounded(row, size[0]) * size[1] + bounded(column, size[1])] as number;
  };
  const [row, column] = [Math.floor(y), Math.floor(x)];
  const mix = (a: number, b: number, share: number) => a + (b - a) * share;
  const upper = mix(at(row, column), at(row, column + 1), x - column);
  return mix(upper, mix(at(row + 1, column), at(row + 1, column + 1), x - column), y - row);
}

export interface InterpolateReferenceOptions {
  readonly planes: number;
  readonly size: Pair;
  readonly outSize: Pair;
  readonly mode: 'nearest' | 'bilinear';
  readonly alignCorners: boolean;
}

/** Planes at another size. */
export function interpolateReference(x: ArrayLike<number>, options: InterpolateReferenceOptions): Float64Array {
  const { planes, size, outSize, mode, alignCorners } = options;
  const place = (axis: 0 | 1, at: number) => {
    if (mode === 'nearest') return Math.floor((at * size[axis]) / outSize[axis]);
    if (alignCorners) return outSize[axis] === 1 ? 0 : (at * (size[axis] - 1)) / (outSize[axis] - 1);
    return ((at + 0.5) * size[axis]) / outSize[axis] - 0.5;
  };
  const [rows, columns] = outSize;
  return Float64Array.from({ length: planes * rows * columns }, (_, at) => {
    const start = Math.floor(at / rows / columns) * size[0] * size[1];
    const plane = Array.prototype.slice.call(x, start, start + size[0] * size[1]) as number[];
    return between(plane, size, place(0, Math.floor(at / columns) % rows), place(1, at % columns), 'border');
  });
}

export interface GridSampleReferenceOptions {
  readonly images: number;
  readonly channels: number;
  readonly size: Pair;
  readonly padding: 'zeros' | 'border';
  readonly alignCorners: boolean;
}

/** Samples [B, C, P] of images [B, C, H, W] at places [B, P, 2]. */
export function gridSampleReference(
  x: ArrayLike<number>,
  grid: ArrayLike<number>,
  { images, channels, size, padding, alignCorners }: GridSampleReferenceOptions,
): Float64Array {
  const samples = grid.length / images / 2;
  return Float64Array.from({ length: images * channels * samples }, (_, at) => {
    const start = Math.floor(at / samples) * size[0] * size[1];
    const plane = Array.prototype.slice.call(x, start, start + size[0] * size[1]) as number[];
    const sample = Math.floor(at / samples / channels) * samples + (at % samples);
    const place = (axis: 0 | 1) => {
      const value = grid[2 * sample + 1 - axis] as number;
      const raw = alignCorners ? ((value + 1) / 2) * (size[axis] - 1) : ((value + 1) * size[axis] - 1) / 2;
      return padding === 'border' ? Math.min(Math.max(raw, 0), size[axis] - 1) : raw;
    };
    return between(plane, size, place(0), place(1), padding);
  });
}
