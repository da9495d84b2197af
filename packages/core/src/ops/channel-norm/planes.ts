import { defineKernel } from '../../kernels/kernel.ts';
import { lanesPerRow, workgroupReduction } from '../../kernels/wgsl-reduce.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Work over planes: the positions of one channel of one image, of which x [B, C, ...] has B C. */

const workgroupSize = 64;

/** Elements of a plane. */
export function planeSize(x: Tensor): number {
  return elementCount(x.shape.slice(2));
}

/** One workgroup per plane: its mean and its variance, in two passes. */
const momentsKernel = defineKernel<{ readonly lanes: number }>({
  name: 'planeMoments',
  bindings: () => [
    { name: 'x', type: 'array<f32>', access: 'read' },
    { name: 'means', type: 'array<f32>', access: 'read_write' },
    { name: 'variances', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['size', 'u32']],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ lanes }, capabilities) => ({
    declarations: workgroupReduction('plane_sum', lanes, 'a + b', capabilities),
    main: `
  let base = group * params.size;
  var sum = 0.0;
  for (var at = lane; at < params.size; at += ${lanes}u) { sum += x[base + at]; }
  let mean = plane_sum(sum, lane) / f32(params.size);
  var squares = 0.0;
  for (var at = lane; at < params.size; at += ${lanes}u) {
    let deviation = x[base + at] - mean;
    squares += deviation * deviation;
  }
  let variance = plane_sum(squares, lane) / f32(params.size);
  if (lane == 0u) {
    means[group] = mean;
    variances[group] = variance;
  }`,
  }),
});

/** One workgroup per plane: the sums of the gradient, and of the gradient times the deviation of x from a mean. */
const sumsKernel = defineKernel<{ readonly lanes: number }>({
  name: 'planeGradientSums',
  bindings: () => [
    { name: 'x', type: 'array<f32>', access: 'read' },
    { name: 'gradient', type: 'array<f32>', access: 'read' },
    { name: 'means', type: 'array<f32>', access: 'read' },
    { name: 'levels', type: 'array<f32>', access: 'read_write' },
    { name: 'slopes', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['vectors', 'u32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ lanes }, capabilities) => ({
    declarations: workgroupReduction('plane_sum', lanes, 'a + b', capabilities),
    main: `
  let base = group * params.size;
  let mean = means[group % params.vectors];
  var level = 0.0;
  var slope = 0.0;
  for (var at = lane; at < params.size; at += ${lanes}u) {
    level += gradient[base + at];
    slope += gradient[base + at] * (x[base + at] - mean);
  }
  level = plane_sum(level, lane);
  slope = plane_sum(slope, lane);
  if (lane == 0u) {
    levels[group] = level;
    slopes[group] = slope;
  }`,
  }),
});

/**
 * One invocation per element; mean, factor, slope and height are those of its plane. Forward `(x - mean) factor + height`, backward
 * `gradient factor + (x - mean) slope + height`.
 */
const mapKernel = defineKernel<{ readonly backward: boolean }>({
  name: 'planeMap',
  bindings: ({ backward }) => {
    const read = (name: string) => ({ name, type: 'array<f32>', access: 'read' as const });
    return [
      read('x'),
      read('means'),
      read('factors'),
      read('heights'),
      ...(backward ? [read('slopes'), read('gradient')] : []),
      { name: 'result', type: 'array<f32>', access: 'read_write' },
    ];
  },
  parameters: [
    ['total', 'u32'],
    ['size', 'u32'],
    ['vectors', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ backward }) => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
  let plane = at / params.size % params.vectors;
  let deviation = x[at] - means[plane];
  result[at] = ${backward ? 'gradient[at] * factors[plane] + deviation * slopes[plane]' : 'deviation * factors[plane]'} + heights[plane];`,
  }),
});

/** Mean and variance of each plane: f32 [B, C] each. @param x f32 [B, C, ...], contiguous */
export function planeMoments(x: Tensor): { readonly means: Tensor; readonly variances: Tensor } {
  const { gpu } = x;
  const shape = x.shape.slice(0, 2);
  const size = planeSize(x);
  if (size === 1) return { means: x.reshape(shape), variances: gpu.zeros(shape) };
  const [means, variances] = [gpu.empty(shape), gpu.empty(shape)];
  gpu.launch(
    momentsKernel,
    { lanes: lanesPerRow(size, gpu.capabilities) },
    {
      bindings: [x, means, variances],
      parameters: [size],
      workgroups: means.size,
      cost: { flops: 4 * x.size, bytes: 4 * x.size },
    },
  );
  return { means, variances };
}

/**
 * Of each plane the sum of the gradient, and of the gradient times (x - mean): f32 [B, C] each.
 *
 * @param means f32 [C] or [B, C], contiguous
 */
export function planeGradientSums(
  x: Tensor,
  gradient: Tensor,
  means: Tensor,
): { readonly levels: Tensor; readonly slopes: Tensor } {
  const { gpu } = x;
  const size = planeSize(x);
  const [levels, slopes] = [gpu.empty(x.shape.slice(0, 2)), gpu.empty(x.shape.slice(0, 2))];
  gpu.launch(
    sumsKernel,
    { lanes: lanesPerRow(size, gpu.capabilities) },
    {
      bindings: [x, gradient, means, levels, slopes],
      parameters: [size, means.size],
      workgroups: levels.size,
      cost: { flops: 4 * x.size, bytes: 8 * x.size },
    },
  );
  return { levels, slopes };
}

/** Vectors of a map, f32 [C] or [B, C], contiguous. */
export interface PlaneVectors {
  readonly means: Tensor;
  readonly factors: Tensor;
  readonly heights: Tensor;
  /** Of the gradient. */
  readonly slopes?: Tensor;
}

/** `(x - mean) factor + height`, or with a gradient `gradient factor + (x - mean) slope + height`, in the shape of x. */
export function planeMap(x: Tensor, vectors: PlaneVectors, gradient?: Tensor): Tensor {
  const { gpu } = x;
  const { means, factors, heights, slopes } = vectors;
  const result = gpu.empty(x.shape);
  gpu.launch(
    mapKernel,
    { backward: gradient !== undefined },
    {
      bindings: [x, means, factors, heights, ...(slopes && gradient ? [slopes, gradient] : []), result],
      parameters: [x.size, planeSize(x), means.size],
      workgroups: Math.ceil(x.size / workgroupSize),
      cost: { flops: 4 * x.size, bytes: (gradient ? 12 : 8) * x.size },
    },
  );
  return result;
}
