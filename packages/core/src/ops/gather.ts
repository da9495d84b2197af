import { ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { bytesPerElement, isQuantized, type PlainDtype } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

const workgroupSize = 64;

/** Elements are moved as bits: whole words, or the halves of words where rows of 16-bit elements end inside one. */
type Unit = 'word' | 'half';

/** One invocation per output word. Indices outside [0, rows) give zeros. */
const gatherKernel = defineKernel<{ readonly unit: Unit }>({
  name: 'gather',
  bindings: () => [
    { name: 'x', type: 'array<u32>', access: 'read' },
    { name: 'indices', type: 'array<u32>', access: 'read' },
    { name: 'out', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['total', 'u32'],
    ['columns', 'u32'],
    ['rows', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ unit }) => ({
    declarations: `
fn bits_at(position: u32) -> u32 {
  let row = indices[position / params.columns];
  if (row >= params.rows) { return 0u; }
  let at = row * params.columns + position % params.columns;
  ${unit === 'word' ? 'return x[at];' : 'return (x[at >> 1u] >> ((at & 1u) * 16u)) & 0xffffu;'}
}`,
    main: `
  let index = group * ${workgroupSize}u + lane;
  ${
    unit === 'word'
      ? `if (index >= params.total) { return; }
  out[index] = bits_at(index);`
      : `if (2u * index >= params.total) { return; }
  let last = params.total - 1u;
  out[index] = bits_at(2u * index) | (bits_at(min(2u * index + 1u, last)) << 16u);`
  }`,
  }),
});

/** One invocation per source element. Halves are written by integer atomics, each invocation its own. */
const scatterKernel = defineKernel<{ readonly unit: Unit }>({
  name: 'scatterRows',
  bindings: ({ unit }) => [
    { name: 'source', type: 'array<u32>', access: 'read' },
    { name: 'indices', type: 'array<u32>', access: 'read' },
    { name: 'out', type: unit === 'word' ? 'array<u32>' : 'array<atomic<u32>>', access: 'read_write' },
  ],
  parameters: [
    ['total', 'u32'],
    ['columns', 'u32'],
    ['rows', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ unit }) => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.total) { return; }
  let row = indices[index / params.columns];
  if (row >= params.rows) { return; }
  let at = row * params.columns + index % params.columns;
  ${
    unit === 'word'
      ? 'out[at] = source[index];'
      : `let bits = (source[index >> 1u] >> ((index & 1u) * 16u)) & 0xffffu;
  let shift = (at & 1u) * 16u;
  atomicAnd(&out[at >> 1u], ~(0xffffu << shift));
  atomicOr(&out[at >> 1u], bits << shift);`
  }`,
  }),
});

function checkRows(operation: string, x: Tensor, indices: Tensor): PlainDtype {
  if (isQuantized(x.dtype)) throw new ShapeError(operation, `needs a plain dtype, not ${x.dtype} (see embedding).`);
  if (x.rank === 0) throw new ShapeError(operation, 'a scalar has no rows.');
  if (indices.dtype !== 'u32') throw new ShapeError(operation, `indices are ${indices.dtype}; allowed: u32.`);
  return x.dtype;
}

/** How rows of `columns` elements are moved, and how many units they have. */
function unitsOf(dtype: PlainDtype, columns: number): { unit: Unit; units: number } {
  if (bytesPerElement[dtype] === 4) return { unit: 'word', units: columns };
  return columns % 2 === 0 ? { unit: 'word', units: columns / 2 } : { unit: 'half', units: columns };
}

/**
 * Rows of `x` by index, bit by bit. Indices are on the GPU, so those outside cannot throw: they give rows of zeros.
 *
 * @param x [R, ...] of a plain dtype
 * @param indices u32 [...]
 * @returns [...indices.shape, ...rest of x.shape] in the dtype of x
 * @throws ShapeError where shapes or dtypes do not fit, LimitError for x over the binding limit.
 */
export function gather(x: Tensor, indices: Tensor): Tensor {
  const { gpu } = x;
  const dtype = checkRows('gather', x, indices);
  const [rows = 0, ...rest] = x.shape;
  return gpu.tidy(() => {
    const out = gpu.empty([...indices.shape, ...rest], dtype);
    if (out.size === 0) return out;
    const { unit, units } = unitsOf(dtype, elementCount(rest));
    const total = units * indices.size;
    gpu.launch(
      gatherKernel,
      { unit },
      {
        bindings: [contiguous(x), contiguous(indices), out],
        parameters: [total, units, rows],
        workgroups: Math.ceil(total / (unit === 'half' ? 2 : 1) / workgroupSize),
        cost: { flops: 0, bytes: 2 * gpu.bytesOf(out) + gpu.bytesOf(indices) },
      },
    );
    return out;
  });
}

/**
 * Writes rows of `source` to the rows of `target` that `indices` name, in place. Indices must differ from each other
 * (else one of the rows wins); those outside [0, R) are left out.
 *
 * @param target [R, ...] of a plain dtype, contiguous
 * @param indices u32 [n]
 * @param source [n, ...] in the dtype of `target`
 * @throws ShapeError where shapes, dtypes or strides do not fit, LimitError for a target over the binding limit.
 */
export function scatterRows(target: Tensor, indices: Tensor, source: Tensor): void {
  const { gpu } = target;
  const dtype = checkRows('scatterRows', target, indices);
  const [rows = 0, ...rest] = target.shape;
  const fits = source.rank === target.rank && rest.every((size, axis) => size === source.shape[axis + 1]);
  if (!fits || source.dtype !== dtype || indices.rank !== 1 || indices.shape[0] !== source.shape[0]) {
    const given = `source ${source.dtype}[${source.shape}] at indices [${indices.shape}]`;
    throw new ShapeError('scatterRows', `${given} does not fit target ${dtype}[${target.shape}].`);
  }
  const range = gpu.range(target, 'scatterRows');
  if (source.storage === target.storage) throw new ShapeError('scatterRows', 'source and target share their memory.');
  if (source.size === 0) return;
  gpu.tidy(() => {
    const { unit, units } = unitsOf(dtype, elementCount(rest));
    const total = units * indices.size;
    gpu.launch(
      scatterKernel,
      { unit },
      {
        bindings: [contiguous(source), contiguous(indices), range],
        parameters: [total, units, rows],
        workgroups: Math.ceil(total / workgroupSize),
        cost: { flops: 0, bytes: 2 * gpu.bytesOf(source) + gpu.bytesOf(indices) },
      },
    );
  });
}
