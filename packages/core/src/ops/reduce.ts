import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { elementAccess } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import { isQuantized, type PlainDtype } from '../tensor/dtype.ts';
import { elementCount, resolveAxis } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

type Reduction = 'sum' | 'max' | 'min';

/** WGSL that joins two partial results `a` and `b`. */
const combine: Readonly<Record<Reduction, string>> = { sum: 'a + b', max: 'max(a, b)', min: 'min(a, b)' };

interface ReduceVariant extends Variant {
  readonly reduction: Reduction;
  readonly dtype: PlainDtype;
  /** Lanes that share a row; columns give each invocation an output of its own. */
  readonly lanes: number;
}

function accumulator(dtype: PlainDtype): 'f32' | 'i32' | 'u32' {
  return dtype === 'i32' || dtype === 'u32' ? dtype : 'f32';
}

/** x [rows, columns] -> [rows, chunks]: one workgroup per chunk of a row. */
const reduceRowsKernel = defineKernel<ReduceVariant>({
  name: 'reduceRows',
  bindings: ({ dtype }, capabilities) => [
    { name: 'x', type: elementAccess('x', dtype, capabilities).type, access: 'read' },
    { name: 'result', type: `array<${accumulator(dtype)}>`, access: 'read_write' },
  ],
  parameters: [
    ['columns', 'u32'],
    ['chunks', 'u32'],
    ['chunk_columns', 'u32'],
    ['factor', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ reduction, dtype, lanes }, capabilities) => {
    const type = accumulator(dtype);
    const load = elementAccess('x', dtype, capabilities).load;
    return {
      declarations: workgroupReduction('join', lanes, combine[reduction], capabilities, type),
      main: `
  let base = group / params.chunks * params.columns;
  let first = group % params.chunks * params.chunk_columns;
  let end = min(first + params.chunk_columns, params.columns);
  var value = ${reduction === 'sum' ? `${type}(0)` : load('base + min(first + lane, end - 1u)')};
  for (var column = first + lane; column < end; column += ${lanes}u) {
    value = join_combine(value, ${load('base + column')});
  }
  let all = join(value, lane);
  if (lane == 0u) { result[group] = ${type === 'f32' ? 'all * params.factor' : 'all'}; }`,
    };
  },
});

/** x [outer, rows, columns] -> [outer, columns]: one invocation per output, so that neighbours read neighbours. */
const reduceColumnsKernel = defineKernel<ReduceVariant>({
  name: 'reduceColumns',
  bindings: ({ dtype }, capabilities) => [
    { name: 'x', type: elementAccess('x', dtype, capabilities).type, access: 'read' },
    { name: 'result', type: `array<${accumulator(dtype)}>`, access: 'read_write' },
  ],
  parameters: [
    ['outputs', 'u32'],
    ['rows', 'u32'],
    ['columns', 'u32'],
    ['factor', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ reduction, dtype, lanes }, capabilities) => {
    const type = accumulator(dtype);
    const load = elementAccess('x', dtype, capabilities).load;
    return {
      declarations: `
fn join(a: ${type}, b: ${type}) -> ${type} {
  return ${combine[reduction]};
}`,
      main: `
  let output = group * ${lanes}u + lane;
  if (output >= params.outputs) { return; }
  let first = output / params.columns * params.rows * params.columns + output % params.columns;
  var value = ${reduction === 'sum' ? `${type}(0)` : load('first')};
  for (var row = 0u; row < params.rows; row++) {
    value = join(value, ${load('first + row * params.columns')});
  }
  result[output] = ${type === 'f32' ? 'value * params.factor' : 'value'};`,
    };
  },
});

/** Index of the largest element of each row, the first of equal ones. */
const argmaxKernel = defineKernel<{ readonly dtype: PlainDtype; readonly lanes: number }>({
  name: 'argmax',
  bindings: ({ dtype }, capabilities) => [
    { name: 'x', type: elementAccess('x', dtype, capabilities).type, access: 'read' },
    { name: 'result', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [['columns', 'u32']],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ dtype, lanes }, capabilities) => {
    const type = accumulator(dtype);
    const load = elementAccess('x', dtype, capabilities).load;
    // A candidate is the bits of its value and its index.
    const better = `
fn better(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let left = bitcast<${type}>(a.x);
  let right = bitcast<${type}>(b.x);
  return select(a, b, right > left || (right == left && b.y < a.y));
}`;
    return {
      declarations: `${better}${workgroupReduction('join', lanes, 'better(a, b)', capabilities, 'vec2<u32>')}`,
      main: `
  let base = group * params.columns;
  var index = min(lane, params.columns - 1u);
  var value = ${load('base + index')};
  for (var column = lane + ${lanes}u; column < params.columns; column += ${lanes}u) {
    let candidate = ${load('base + column')};
    if (candidate > value) {
      value = candidate;
      index = column;
    }
  }
  let all = join(vec2<u32>(bitcast<u32>(value), index), lane);
  if (lane == 0u) { result[group] = all.y; }`,
    };
  },
});

export interface ReduceOptions {
  /** Axis or axes to reduce; all of them by default. */
  readonly axis?: number | readonly number[];
  /** Keep reduced axes as size 1. Default false. */
  readonly keepDims?: boolean;
}

function plainDtype(operation: string, x: Tensor): PlainDtype {
  if (isQuantized(x.dtype)) throw new ShapeError(operation, `needs a plain dtype, not ${x.dtype} (dequantize first).`);
  return x.dtype;
}

function resolveAxes(operation: string, x: Tensor, axis: ReduceOptions['axis']): number[] {
  if (axis === undefined) return x.shape.map((_, index) => index);
  const axes = (typeof axis === 'number' ? [axis] : axis).map((each) => resolveAxis(operation, each, x.rank));
  if (new Set(axes).size !== axes.length) throw new ArgumentError(`${operation}: axis`, axis, 'each axis once');
  return axes.sort((a, b) => a - b);
}

/** `x` dense with the reduced axes side by side: [outer, reduced, inner]. */
function arrange(x: Tensor, axes: readonly number[]): { dense: Tensor; outer: number; reduced: number; inner: number } {
  const first = axes[0] ?? 0;
  const adjacent = axes.every((axis, index) => axis === first + index);
  if (adjacent) {
    const outer = elementCount(x.shape.slice(0, first));
    const inner = elementCount(x.shape.slice(first + axes.length));
    const reduced = elementCount(x.shape.slice(first, first + axes.length));
    return { dense: contiguous(x), outer, reduced, inner };
  }
  const kept = x.shape.map((_, index) => index).filter((index) => !axes.includes(index));
  const reduced = elementCount(axes.map((axis) => x.shape[axis] as number));
  const outer = elementCount(kept.map((axis) => x.shape[axis] as number));
  return { dense: contiguous(x.transpose(...kept, ...axes)), outer, reduced, inner: 1 };
}

/** Longer rows than this are cut into chunks where there are too few of them to keep a device busy. */
const longRow = 8192;

function reduceRows(gpu: Gpu, x: Tensor, rows: number, columns: number, reduction: Reduction, factor: number): Tensor {
  const chunks = rows < 64 && columns > longRow ? Math.ceil(columns / longRow) : 1;
  const chunkColumns = Math.ceil(columns / chunks);
  const dtype = plainDtype(reduction, x);
  const result = gpu.empty([rows, chunks], accumulator(dtype));
  gpu.launch(
    reduceRowsKernel,
    { reduction, dtype, lanes: lanesPerRow(chunkColumns, gpu.capabilities) },
    {
      bindings: [x, result],
      parameters: [columns, chunks, chunkColumns, chunks === 1 ? factor : 1],
      workgroups: rows * chunks,
      cost: { flops: x.size, bytes: gpu.bytesOf(x) + gpu.bytesOf(result) },
    },
  );
  return chunks === 1 ? result : reduceRows(gpu, result, rows, chunks, reduction, factor);
}

function reduce(operation: 'sum' | 'mean' | 'max' | 'min', x: Tensor, options: ReduceOptions): Tensor {
  const { gpu } = x;
  const dtype = plainDtype(operation, x);
  const reduction = operation === 'mean' ? 'sum' : operation;
  if (operation === 'mean' && accumulator(dtype) !== 'f32') {
    throw new ShapeError(operation, `got ${dtype}; allowed: floats (see cast).`);
  }
  const axes = resolveAxes(operation, x, options.axis);
  const keptShape = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const shape = options.keepDims ? keptShape : keptShape.filter((_, axis) => !axes.includes(axis));
  const count = elementCount(axes.map((axis) => x.shape[axis] as number));
  if (count === 0 && operation !== 'sum')
    throw new ShapeError(operation, `[${x.shape}] has no elements along axis ${axes}.`);
  if (count === 0) return gpu.zeros(shape, accumulator(dtype));
  return gpu.tidy(() => {
    if (elementCount(shape) === 0) return gpu.empty(shape, accumulator(dtype));
    const { dense, outer, reduced, inner } = arrange(x, axes);
    const factor = operation === 'mean' ? 1 / count : 1;
    if (inner === 1) return reduceRows(gpu, dense, outer, reduced, reduction, factor).reshape(shape);
    const result = gpu.empty(shape, accumulator(dtype));
    gpu.launch(
      reduceColumnsKernel,
      { reduction, dtype, lanes: 64 },
      {
        bindings: [dense, result],
        parameters: [outer * inner, reduced, inner, factor],
        workgroups: Math.ceil((outer * inner) / 64),
        cost: { flops: x.size, bytes: gpu.bytesOf(x) + gpu.bytesOf(result) },
      },
    );
    return result;
  });
}

/**
 * Sums over axes. Accumulated in f32 (floats) or in the integer type itself; of no elements 0.
 *
 * @param x plain dtype, any shape and strides
 * @returns f32, i32 or u32 without the reduced axes (of size 1 with `keepDims`)
 * @throws ArgumentError for an axis that x does not have.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('sum', x, options);
}

/** Means over axes of floats; otherwise as {@link sum}. Throws ShapeError for integers and for no elements. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('mean', x, options);
}

/** Largest elements over axes; otherwise as {@link sum}. Throws ShapeError for no elements. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('max', x, options);
}

/** Smallest elements over axes; otherwise as {@link sum}. Throws ShapeError for no elements. */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('min', x, options);
}

export interface ArgmaxOptions {
  /** Default the last. */
  readonly axis?: number;
  /** Keep the reduced axis as size 1. Default false. */
  readonly keepDims?: boolean;
}

/**
 * Index of the largest element along an axis, the lowest of equal ones.
 *
 * @param x plain dtype, any shape and strides
 * @returns u32 without the axis (of size 1 with `keepDims`)
 * @throws ArgumentError for an axis that x does not have, ShapeError for no elements.
 */
export function argmax(x: Tensor, options: ArgmaxOptions = {}): Tensor {
  const { gpu } = x;
  const dtype = plainDtype('argmax', x);
  const axis = resolveAxis('argmax', options.axis ?? -1, x.rank);
  const columns = x.shape[axis] as number;
  if (columns === 0) throw new ShapeError('argmax', `[${x.shape}] has no elements along axis ${axis}.`);
  const kept = x.shape.map((size, index) => (index === axis ? 1 : size));
  const shape = options.keepDims ? kept : kept.filter((_, index) => index !== axis);
  return gpu.tidy(() => {
    const result = gpu.empty(shape, 'u32');
    const others = x.shape.map((_, index) => index).filter((index) => index !== axis);
    const rows = contiguous(x.transpose(...others, axis));
    gpu.launch(
      argmaxKernel,
      { dtype, lanes: lanesPerRow(columns, gpu.capabilities) },
      {
        bindings: [rows, result],
        parameters: [columns],
        workgroups: result.size,
        cost: { flops: x.size, bytes: gpu.bytesOf(x) + gpu.bytesOf(result) },
      },
    );
    return result;
  });
}
