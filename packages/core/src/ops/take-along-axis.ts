import { ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { elementCount, resolveAxis, type Shape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import { gather } from './gather.ts';
import { scatterAdd } from './scatter-add.ts';

const workgroupSize = 64;

/** One invocation per index [outer, chosen, inner]: the place of its element in x [outer, size, inner], none for an index outside. */
const placesKernel = defineKernel({
  name: 'axisPlaces',
  bindings: () => [
    { name: 'indices', type: 'array<u32>', access: 'read' },
    { name: 'places', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['total', 'u32'],
    ['chosen', 'u32'],
    ['inner', 'u32'],
    ['size', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
  let index = indices[at];
  let place = (at / params.inner / params.chosen * params.size + index) * params.inner + at % params.inner;
  places[at] = select(0xffffffffu, place, index < params.size);`,
  }),
});

/** Places of the elements that `indices` name in a contiguous tensor of `shape`: u32 in the shape of the indices. */
function placesOf(shape: Shape, indices: Tensor, axis: number): Tensor {
  const { gpu } = indices;
  const places = gpu.empty(indices.shape, 'u32');
  const inner = elementCount(shape.slice(axis + 1));
  gpu.launch(
    placesKernel,
    {},
    {
      bindings: [contiguous(indices), places],
      parameters: [places.size, indices.shape[axis] as number, inner, shape[axis] as number],
      workgroups: Math.ceil(places.size / workgroupSize),
      cost: { flops: 0, bytes: 8 * places.size },
    },
  );
  return places;
}

function check(shape: Shape, indices: Tensor, axis: number): number {
  const at = resolveAxis('takeAlongAxis', axis, shape.length);
  const others = (sizes: Shape) => sizes.filter((_, index) => index !== at);
  if (indices.dtype !== 'u32' || indices.rank !== shape.length || !sameShape(others(indices.shape), others(shape))) {
    throw new ShapeError(
      'takeAlongAxis',
      `indices ${indices.dtype}[${indices.shape}] do not fit x [${shape}]; expected u32 of the same shape but for axis ${at}.`,
    );
  }
  return at;
}

/**
 * Elements by index along an axis, as NumPy's `take_along_axis` and PyTorch's `gather`: `out[.., i, ..] = x[.., indices[.., i, ..], ..]`. Indices are on the
 * GPU, so those outside cannot throw: they give zeros.
 *
 * @param x a plain dtype
 * @param indices u32 in the shape of x but for the axis
 * @param axis the last by default
 * @returns in the shape of the indices and the dtype of x
 * @throws ShapeError where shapes or dtypes do not fit
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis = -1): Tensor {
  const at = check(x.shape, indices, axis);
  return x.gpu.tidy(() => {
    const flat = contiguous(x).reshape([x.size]);
    return gather(flat, placesOf(x.shape, indices, at));
  });
}

/** The gradient of {@link takeAlongAxis} by x, of `shape`: f32. Elements of one place are added in their order. */
export function takeAlongAxisGradient(gradient: Tensor, indices: Tensor, shape: Shape, axis = -1): Tensor {
  return gradient.gpu.tidy(() => {
    const places = placesOf(shape, indices, resolveAxis('takeAlongAxis', axis, shape.length));
    const flat = contiguous(gradient).reshape([gradient.size]);
    return scatterAdd(flat, places.reshape([places.size]), elementCount(shape)).reshape(shape);
  });
}
