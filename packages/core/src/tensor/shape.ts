import { ArgumentError, ShapeError } from '../errors.ts';

export type Shape = readonly number[];

/** Number of elements of a shape. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** Row-major strides, in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

/** Whether strides address the elements of `shape` densely in row-major order (axes of size 1, and no elements, do not matter). */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}

export function checkShape(argument: string, shape: Shape): void {
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) throw new ArgumentError(argument, shape, 'integers of 0 or more');
  }
  if (!Number.isSafeInteger(elementCount(shape))) throw new ArgumentError(argument, shape, 'fewer than 2^53 elements');
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The shape that two shapes broadcast to, as in NumPy. */
export function broadcastShapes(operation: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(operation, `[${a}] and [${b}] do not broadcast (axis ${axis}: ${left} and ${right}).`);
    }
    out[axis] = left === 1 ? right : left;
  }
  return out;
}

/** A possibly negative axis as an index in [0, rank). */
export function resolveAxis(operation: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ArgumentError(`${operation}: axis`, axis, `an integer in [${-rank}, ${rank})`);
  }
  return resolved;
}
