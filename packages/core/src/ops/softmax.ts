import { ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { elementAccess, LOWEST } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import { resolveAxis } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

interface SoftmaxVariant extends Variant {
  readonly dtype: PlainDtype;
  readonly log: boolean;
  readonly lanes: number;
}

/**
 * One workgroup per row. Each lane keeps the maximum and the sum of exponentials of what it has seen (x: maximum, y: sum),
 * so that a row is read twice: for the statistics and for the result.
 */
const softmaxKernel = defineKernel<SoftmaxVariant>({
  name: 'softmax',
  bindings: ({ dtype }, capabilities) => [
    { name: 'x', type: elementAccess('x', dtype, capabilities).type, access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['columns', 'u32']],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ dtype, log, lanes }, capabilities) => {
    const value = elementAccess('x', dtype, capabilities).load('base + column');
    return {
      declarations: `
// exp(a - b) for b >= a of any size: the difference may overflow, its half does not.
fn ratio(a: f32, b: f32) -> f32 {
  return exp(2.0 * max(0.5 * a - 0.5 * b, -60.0));
}
fn merge(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  let top = max(a.x, b.x);
  return vec2<f32>(top, a.y * ratio(a.x, top) + b.y * ratio(b.x, top));
}
${workgroupReduction('join', lanes, 'merge(a, b)', capabilities, 'vec2<f32>')}`,
      main: `
  let base = group * params.columns;
  var top = ${LOWEST};
  var total = 0.0;
  for (var column = lane; column < params.columns; column += ${lanes}u) {
    let value = ${value};
    let smaller = ratio(min(value, top), max(value, top));
    total = select(total + smaller, total * smaller + 1.0, value > top);
    top = max(value, top);
  }
  let row = join(vec2<f32>(top, total), lane);
  let masked = row.x <= 0.5 * ${LOWEST};
  ${log ? 'let log_total = log(max(row.y, 1.0));' : 'let scale = 1.0 / max(row.y, 1.0);'}
  for (var column = lane; column < params.columns; column += ${lanes}u) {
    let value = ${value};
    result[base + column] = select(${
      log ? `max((value - row.x) - log_total, ${LOWEST}), ${LOWEST}` : 'ratio(value, row.x) * scale, 0.0'
    }, masked);
  }`,
    };
  },
});

export interface SoftmaxOptions {
  /** Default the last. */
  readonly axis?: number;
}

function launchSoftmax(operation: string, x: Tensor, options: SoftmaxOptions, log: boolean): Tensor {
  const { gpu, dtype } = x;
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') {
    throw new ShapeError(operation, `got ${dtype}; allowed: f32, f16, bf16.`);
  }
  const axis = resolveAxis(operation, options.axis ?? -1, x.rank);
  const columns = x.shape[axis] as number;
  return gpu.tidy(() => {
    // The axis last; swapping it with the last one is its own inverse.
    const order = x.shape.map((_, index) => index);
    order[axis] = x.rank - 1;
    order[x.rank - 1] = axis;
    const rows = contiguous(x.transpose(...order));
    const result = gpu.empty(rows.shape);
    gpu.launch(
      softmaxKernel,
      { dtype, log, lanes: lanesPerRow(columns, gpu.capabilities) },
      {
        bindings: [rows, result],
        parameters: [columns],
        workgroups: x.size === 0 ? 0 : x.size / columns,
        cost: { flops: 8 * x.size, bytes: gpu.bytesOf(x) + gpu.bytesOf(result) },
      },
    );
    return contiguous(result.transpose(...order));
  });
}

/**
 * Softmax along an axis, for rows of any length. Elements at half of the lowest score (-5e37) or below count as masked:
 * they get 0, and a row of nothing else becomes zeros.
 *
 * @param x floats, any shape and strides
 * @returns f32 in the same shape
 * @throws ShapeError for other dtypes, ArgumentError for an axis that x does not have.
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return launchSoftmax('softmax', x, options, false);
}

/**
 * Logarithm of {@link softmax}, computed without it. Masked elements stay at or below -5e37, which stands for -Infinity.
 *
 * @param x floats, any shape and strides
 * @returns f32 in the same shape
 * @throws ShapeError for other dtypes, ArgumentError for an axis that x does not have.
 */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return launchSoftmax('logSoftmax', x, options, true);
}
