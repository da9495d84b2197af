import { ShapeError } from '../errors.ts';
import { broadcastShapes, type Shape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import { sum } from './reduce.ts';

/**
 * The gradient of broadcasting: sums over the axes that a tensor of `shape` was repeated along.
 *
 * @param x floats, of a shape that `shape` broadcasts to
 * @returns [...shape], f32 where anything was summed; else x itself (a second handle)
 * @throws ShapeError where `shape` does not broadcast to that of x.
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x.alias();
  if (!sameShape(broadcastShapes('sumTo', shape, x.shape), x.shape)) {
    throw new ShapeError('sumTo', `[${shape}] does not broadcast to [${x.shape}].`);
  }
  return x.gpu.tidy(() => {
    const lead = x.rank - shape.length;
    const axis = x.shape.flatMap((size, at) => (at < lead || (shape[at - lead] === 1 && size !== 1) ? [at] : []));
    return contiguous(axis.length > 0 ? sum(x, { axis, keepDims: true }) : x).reshape(shape);
  });
}
