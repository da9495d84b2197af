import { ArgumentError, ShapeError } from '../errors.ts';
import { isQuantized } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { copyInto } from './copy.ts';
import { scale } from './elementwise.ts';

/** Elements before and behind those of an axis. */
export type AxisPadding = readonly [before: number, after: number];

/** Checks the padding of `pad`: one pair per axis. */
export function checkPadding(shape: readonly number[], padding: readonly AxisPadding[]): void {
  const counts = padding.flat();
  if (padding.length !== shape.length || counts.length !== 2 * shape.length || !counts.every(isCount)) {
    throw new ArgumentError(
      'pad: padding',
      padding,
      `[before, after], integers of 0 or more, for each axis of [${shape}]`,
    );
  }
}

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;

/**
 * A tensor with a constant around it.
 *
 * @param x plain dtype, any shape and strides
 * @param padding a pair for each axis
 * @param value of the added elements: default 0, another one for floats only
 * @returns larger by the padding, in the dtype of x
 * @throws ArgumentError for padding that does not fit, ShapeError for other dtypes
 */
export function pad(x: Tensor, padding: readonly AxisPadding[], value = 0): Tensor {
  const { gpu, dtype } = x;
  if (isQuantized(dtype)) throw new ShapeError('pad', `needs a plain dtype, not ${dtype} (dequantize first).`);
  checkPadding(x.shape, padding);
  return gpu.tidy(() => {
    const zeros = gpu.zeros(
      x.shape.map((size, axis) => size + (padding[axis]?.[0] as number) + (padding[axis]?.[1] as number)),
      dtype,
    );
    const out = value === 0 ? zeros : scale(zeros, 0, value);
    copyInto(unpadded(out, padding), x);
    return out;
  });
}

/** The part of a padded tensor that is not padding, a view: also the gradient of {@link pad}. */
export function unpadded(x: Tensor, padding: readonly AxisPadding[]): Tensor {
  return padding.reduce(
    (part, [before, after], axis) => part.slice(axis, before, (part.shape[axis] as number) - after),
    x,
  );
}
