import { ArgumentError } from '../errors.ts';
import { resolveAxis, type Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Where the parts of a split begin and end. @throws ArgumentError for sizes that do not add up to that of the axis */
export function splitRanges(shape: Shape, sizes: readonly number[], axis: number): (readonly [number, number])[] {
  const whole = shape[resolveAxis('split', axis, shape.length)] as number;
  const counts = sizes.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!counts || sizes.reduce((sum, size) => sum + size, 0) !== whole) {
    throw new ArgumentError('split: sizes', sizes, `integers of 0 or more that add up to ${whole}`);
  }
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return [start - size, start] as const;
  });
}

/**
 * Parts of a tensor along an axis, the last one by default: views.
 *
 * @param sizes of the parts, which add up to the size of the axis
 * @throws ArgumentError where they do not
 */
export function split(x: Tensor, sizes: readonly number[], axis = -1): Tensor[] {
  return splitRanges(x.shape, sizes, axis).map(([start, end]) => x.slice(axis, start, end));
}
