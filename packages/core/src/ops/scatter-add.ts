import { ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { elementCount, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cast, contiguous } from './copy.ts';
import { sort } from './sort.ts';

const workgroupSize = 64;

/**
 * One invocation per element of the sorted list and column. The first of a run of equal indices adds up the run, in the
 * order of the source: no atomics, and the same bits every time.
 */
const scatterAddKernel = defineKernel({
  name: 'scatterAdd',
  bindings: () => [
    { name: 'sorted', type: 'array<u32>', access: 'read' },
    { name: 'order', type: 'array<u32>', access: 'read' },
    { name: 'source', type: 'array<f32>', access: 'read' },
    { name: 'out', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['count', 'u32'],
    ['columns', 'u32'],
    ['rows', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  let place = index / params.columns;
  let column = index % params.columns;
  if (place >= params.count) { return; }
  let row = sorted[place];
  if (row >= params.rows) { return; }
  if (place > 0u && sorted[max(place, 1u) - 1u] == row) { return; }
  var total = 0.0;
  for (var at = place; at < params.count; at++) {
    if (sorted[at] != row) { break; }
    total += source[order[at] * params.columns + column];
  }
  out[row * params.columns + column] = total;`,
  }),
});

/**
 * Adds up rows of `source` by index: `out[indices[i]] += source[i]`, starting from zeros. Rows of one index are added in
 * their order, by whoever owns the index in the sorted list, so results reproduce bit by bit. Indices outside [0, rows) are
 * left out. The gradient of `gather` and `embedding`.
 *
 * @param source floats [...indices.shape, ...rest]
 * @param indices u32 [...]; may repeat
 * @param rows of the result
 * @returns f32 [rows, ...rest]
 * @throws ShapeError where shapes or dtypes do not fit; LimitError for a result over the binding limit.
 */
export function scatterAdd(source: Tensor, indices: Tensor, rows: number): Tensor {
  const { gpu } = source;
  if (indices.dtype !== 'u32') throw new ShapeError('scatterAdd', `indices are ${indices.dtype}; allowed: u32.`);
  if (!sameShape(source.shape.slice(0, indices.rank), indices.shape)) {
    throw new ShapeError(
      'scatterAdd',
      `source [${source.shape}] does not begin with the axes of indices [${indices.shape}].`,
    );
  }
  const rest = source.shape.slice(indices.rank);
  return gpu.tidy(() => {
    const out = gpu.zeros([rows, ...rest]);
    if (source.size === 0 || rows === 0) return out;
    const { values, indices: order } = sort(contiguous(indices).reshape([indices.size]));
    const columns = elementCount(rest);
    gpu.launch(
      scatterAddKernel,
      {},
      {
        bindings: [values, order, cast(source, 'f32'), out],
        parameters: [indices.size, columns, rows],
        workgroups: Math.ceil(source.size / workgroupSize),
        cost: { flops: source.size, bytes: 8 * source.size },
      },
    );
    return out;
  });
}
