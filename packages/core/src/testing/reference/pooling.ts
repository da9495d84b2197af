type Pair = readonly [number, number];

/** Windows of a pool over planes of an image. */
export interface PoolReferenceSizes {
  readonly planes: number;
  readonly size: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  /** Default [0, 0]. */
  readonly padding?: Pair;
  /** Default [1, 1]. */
  readonly dilation?: Pair;
}

/** Each window's elements that are inside of the image, joined by `join`. */
export function poolReference(
  x: ArrayLike<number>,
  sizes: PoolReferenceSizes,
  join: (inside: readonly number[]) => number,
): Float64Array {
  const { planes, size, kernel, stride, padding = [0, 0], dilation = [1, 1] } = sizes;
  const out: number[] = [];
  const count = (axis: 0 | 1) =>
    Math.floor((size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis]) + 1;
  const places = (axis: 0 | 1, window: number) =>
    Array.from({ length: kernel[axis] }, (_, at) => window * stride[axis] + at * dilation[axis] - padding[axis]).filter(
      (place) => place >= 0 && place < size[axis],
    );
  for (let plane = 0; plane < planes; plane++) {
    for (let row = 0; row < count(0); row++) {
      for (let column = 0; column < count(1); column++) {
        const elements = places(0, row).flatMap((y) =>
          places(1, column).map((at) => x[(plane * size[0] + y) * size[1] + at] as number),
        );
        out.push(join(elements));
      }
    }
  }
  return Float64Array.from(out);
}

/** Means over the parts of an image that is divided into `outSize` parts. */
export function adaptivePoolReference(x: ArrayLike<number>, planes: number, size: Pair, outSize: Pair): Float64Array {
  const out: number[] = [];
  for (let plane = 0; plane < planes; plane++) {
    for (let row = 0; row < outSize[0]; row++) {
      for (let column = 0; column < outSize[1]; column++) {
        const values: number[] = [];
        for (let y = Math.floor((row * size[0]) / outSize[0]); y < Math.ceil(((row + 1) * size[0]) / outSize[0]); y++) {
          const [start, end] = [(column * size[1]) / outSize[1], ((column + 1) * size[1]) / outSize[1]];
          for (let at = Math.floor(start); at < Math.ceil(end); at++) {
            values.push(x[(plane * size[0] + y) * size[1] + at] as number);
          }
        }
        out.push(values.reduce((a, b) => a + b, 0) / values.length);
      }
    }
  }
  return Float64Array.from(out);
}
