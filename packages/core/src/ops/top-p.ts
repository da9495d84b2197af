import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { floatOrderKeyFunction } from '../kernels/order-key.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

/**
 * One workgroup per row. The least score that is kept is found bit by bit, from the highest on, in the unsigned order of its key: a
 * bit stays where the scores from there on still have the mass.
 */
const topPKernel = defineKernel<{ readonly lanes: number }>({
  name: 'topPFilter',
  bindings: () => [
    { name: 'x', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['columns', 'u32'],
    ['share', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ lanes }, capabilities) => ({
    declarations: `${floatOrderKeyFunction}
${workgroupReduction('largest', lanes, 'max(a, b)', capabilities)}
${workgroupReduction('total', lanes, 'a + b', capabilities)}
fn mass_from(base: u32, least: u32, top: f32, lane: u32) -> f32 {
  var own = 0.0;
  for (var column = lane; column < params.columns; column += ${lanes}u) {
    let score = x[base + column];
    if (order_key(bitcast<u32>(score)) >= least) { own += exp(max(score - top, -80.0)); }
  }
  return total(own, lane);
}`,
    main: `
  let base = group * params.columns;
  var own = ${LOWEST};
  for (var column = lane; column < params.columns; column += ${lanes}u) { own = max(own, x[base + column]); }
  let top = largest(own, lane);
  let wanted = params.share * mass_from(base, 0u, top, lane);
  var least = 0u;
  for (var bit = 32u; bit > 0u; bit--) {
    let tried = least | (1u << (bit - 1u));
    if (mass_from(base, tried, top, lane) >= wanted) { least = tried; }
  }
  for (var column = lane; column < params.columns; column += ${lanes}u) {
    let score = x[base + column];
    result[base + column] = select(${LOWEST}, score, order_key(bitcast<u32>(score)) >= least);
  }`,
  }),
});

/**
 * Masks the scores of each row outside the smallest set of most probable ones whose probability reaches p; what equals the last
 * kept one is kept. At least one stays.
 *
 * @param x f32 [R, V]: logits
 * @param p In (0, 1].
 * @returns f32 [R, V], the lowest score where masked
 * @throws ShapeError for another tensor, ArgumentError for another p
 */
export function topPFilter(x: Tensor, p: number): Tensor {
  const { gpu } = x;
  if (x.rank !== 2 || x.dtype !== 'f32' || x.shape[1] === 0) {
    throw new ShapeError('topPFilter', `x is ${x.dtype}[${x.shape}]; needs f32 [R, V] with V of 1 or more.`);
  }
  if (!(p > 0 && p <= 1)) throw new ArgumentError('topPFilter: p', p, 'a number above 0 and up to 1');
  if (p === 1) return x.alias();
  const [rows, columns] = x.shape as [number, number];
  return gpu.tidy(() => {
    const result = gpu.empty(x.shape);
    gpu.launch(
      topPKernel,
      { lanes: lanesPerRow(columns, gpu.capabilities) },
      {
        bindings: [contiguous(x), result],
        parameters: [columns, p],
        workgroups: rows,
        cost: { flops: 70 * x.size, bytes: 8 * x.size },
      },
    );
    return result;
  });
}
