import { ArgumentError, neighbourhoodWindow } from '@saccade/core';
import { type NeighborhoodOptions, resolveNeighborhood } from './neighborhood.ts';

/**
 * The keys [start, end) that query `i` sees on an axis of `length` tokens: without causality exactly `window` of them, shifted inward at
 * borders.
 *
 * @throws ArgumentError for sizes that do not fit
 */
export function neighborhoodWindow(
  i: number,
  length: number,
  window: number,
  stride = 1,
  causal = false,
): { start: number; end: number } {
  resolveNeighborhood([length], { window, stride, causal });
  if (!Number.isInteger(i) || i < 0 || i >= length) throw new ArgumentError('i', i, `an integer in [0, ${length - 1}]`);
  return neighbourhoodWindow(i, length, { window, stride, causal });
}

/**
 * Who sees whom, for tests and pictures: u8 [N, N], row-major, 1 where the query of the row sees the key of the column.
 *
 * @throws ArgumentError
 */
export function neighborhoodMask(layout: readonly number[], options: NeighborhoodOptions): Uint8Array {
  const axes = resolveNeighborhood(layout, options);
  const masks = layout.map((size, axis) => axisMask(size, axes, axis));
  let tokens = 1;
  let mask: Uint8Array = Uint8Array.of(1);
  layout.forEach((size, axis) => {
    mask = outer(mask, tokens, masks[axis] as Uint8Array, size);
    tokens *= size;
  });
  return mask;
}

/** [X, X] */
function axisMask(size: number, axes: ReturnType<typeof resolveNeighborhood>, axis: number): Uint8Array {
  const [window, stride, dilation] = [axes.window[axis], axes.stride[axis], axes.dilation[axis]] as [
    number,
    number,
    number,
  ];
  const mask = new Uint8Array(size * size);
  for (let query = 0; query < size; query++) {
    const group = query % dilation;
    const length = Math.ceil((size - group) / dilation);
    const causal = axes.causal[axis] as boolean;
    const { start, end } = neighbourhoodWindow(Math.floor(query / dilation), length, { window, stride, causal });
    for (let inner = start; inner < end; inner++) mask[query * size + inner * dilation + group] = 1;
  }
  return mask;
}

/** Of masks [a, a] and [b, b]: [a b, a b], both hold. */
function outer(first: Uint8Array, a: number, second: Uint8Array, b: number): Uint8Array {
  const size = a * b;
  const mask = new Uint8Array(size * size);
  for (let query = 0; query < size; query++) {
    const [q1, q2] = [Math.floor(query / b), query % b];
    for (let key = 0; key < size; key++) {
      mask[query * size + key] =
        (first[q1 * a + Math.floor(key / b)] as number) & (second[q2 * b + (key % b)] as number);
    }
  }
  return mask;
}
