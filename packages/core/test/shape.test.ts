import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ArgumentError, ShapeError } from '../src/errors.ts';
import { broadcastShapes, checkShape, contiguousStrides, isContiguous, resolveAxis } from '../src/tensor/shape.ts';

const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 5 });

it('row-major strides number the elements in order', () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      const strides = contiguousStrides(shape);
      const seen: number[] = [];
      const visit = (axis: number, at: number) => {
        if (axis === shape.length) {
          seen.push(at);
          return;
        }
        for (let i = 0; i < (shape[axis] as number); i++) visit(axis + 1, at + i * (strides[axis] as number));
      };
      visit(0, 0);
      expect(seen).toEqual(seen.map((_, index) => index));
      expect(isContiguous(shape, strides)).toBe(true);
    }),
    { seed: 1 },
  );
});

it('ignores the strides of axes of size 1 and of empty tensors', () => {
  expect(isContiguous([3, 1, 4], [4, 99, 1])).toBe(true);
  expect(isContiguous([3, 4], [1, 3])).toBe(false);
  expect(isContiguous([3, 4], [4, 2])).toBe(false);
  expect(isContiguous([3, 4], [0, 1])).toBe(false);
  expect(isContiguous([3, 0, 4], [7, 5, 3])).toBe(true);
});

it('broadcasts as NumPy does', () => {
  expect(broadcastShapes('test', [2, 1, 3], [4, 1])).toEqual([2, 4, 3]);
  expect(broadcastShapes('test', [], [4, 0])).toEqual([4, 0]);
  expect(broadcastShapes('test', [1, 0], [5, 1])).toEqual([5, 0]);
  expect(() => broadcastShapes('test', [2, 3], [2])).toThrow(ShapeError);
  expect(() => broadcastShapes('test', [0], [2])).toThrow(ShapeError);
});

it('resolves negative axes and refuses others', () => {
  expect(resolveAxis('test', -1, 3)).toBe(2);
  expect(resolveAxis('test', -3, 3)).toBe(0);
  for (const axis of [3, -4, 0.5, Number.NaN]) expect(() => resolveAxis('test', axis, 3)).toThrow(ArgumentError);
});

it('refuses sizes that are no counts', () => {
  for (const shape of [[-1], [1.5], [Number.NaN], [2 ** 30, 2 ** 30]]) {
    expect(() => checkShape('shape', shape)).toThrow(ArgumentError);
  }
  expect(() => checkShape('shape', [])).not.toThrow();
});
