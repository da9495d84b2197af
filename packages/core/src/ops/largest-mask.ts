import { ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { orderArguments, orderKeyFunction, orderParameters } from '../kernels/order-key.ts';
import { scanPairsFunction } from '../kernels/workgroup-scan.ts';
import { workgroupSelect } from '../kernels/workgroup-select.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

/** One workgroup per row: find the key of the last element that is marked, then mark what is larger, and its first equals. */
const largestMaskKernel = defineKernel<Record<never, never>>({
  name: 'largestMask',
  bindings: () => [
    { name: 'x', type: 'array<u32>', access: 'read' },
    { name: 'counts', type: 'array<u32>', access: 'read' },
    { name: 'flags', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [['n', 'u32'], ...orderParameters],
  workgroupSize: (_, capabilities) => workgroupSelect(capabilities).lanes,
  source: (_, capabilities) => {
    const select = workgroupSelect(capabilities);
    const { lanes } = select;
    return {
      declarations: `${orderKeyFunction}${scanPairsFunction(lanes)}${select.declarations}${select.declare('select_key', (index) => `order_key(x[${index}])`)}`,
      main: `
  let base = group * params.n;
  let count = min(counts[group], params.n);
  let selected = select_key(lane, base, params.n, max(count, 1u));
  let threshold = selected.x;
  let need = select(selected.y, 0u, count == 0u);
  let share = (params.n + ${lanes - 1}u) / ${lanes}u;
  let start = min(lane * share, params.n);
  let end = min(start + share, params.n);
  var own = vec2u(0u);
  for (var at = start; at < end; at++) { own.y += u32(order_key(x[base + at]) == threshold); }
  var equals = scan_pairs(lane, own).y;
  for (var at = start; at < end; at++) {
    let key = order_key(x[base + at]);
    let equal = key == threshold;
    flags[base + at] = u32((key > threshold && count > 0u) || (equal && equals < need));
    equals += u32(equal);
  }`,
    };
  },
});

/**
 * Marks the largest elements of each row, as many as a count on the GPU says; equal ones by lower index. `maskPositions` lists them.
 *
 * @param x f32, i32 or u32 [..., n]. No NaN: it has no place in the order.
 * @param counts u32 [...]: how many of each row; more than n mark all.
 * @returns u32 [..., n], 1 or 0
 * @throws ShapeError where dtypes or shapes do not fit, LimitError for a tensor over the binding limit.
 */
export function largestMask(x: Tensor, counts: Tensor): Tensor {
  const { gpu, dtype } = x;
  const n = x.shape.at(-1) ?? 0;
  if (n === 0 || (dtype !== 'f32' && dtype !== 'i32' && dtype !== 'u32')) {
    throw new ShapeError(
      'largestMask',
      `x is ${dtype}[${x.shape}]; needs f32, i32 or u32 [..., n] with n of 1 or more.`,
    );
  }
  const rows = x.size / n;
  if (counts.dtype !== 'u32' || counts.size !== rows) {
    throw new ShapeError(
      'largestMask',
      `counts are ${counts.dtype}[${counts.shape}]; needs u32 with ${rows} elements.`,
    );
  }
  return gpu.tidy(() => {
    const flags = gpu.empty(x.shape, 'u32');
    gpu.launch(
      largestMaskKernel,
      {},
      {
        bindings: [contiguous(x), contiguous(counts), flags],
        parameters: [n, ...orderArguments(dtype)],
        workgroups: rows,
        cost: { flops: 12 * x.size, bytes: 8 * x.size },
      },
    );
    return flags;
  });
}
