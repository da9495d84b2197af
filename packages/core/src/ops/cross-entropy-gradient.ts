import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import { type CrossEntropyOptions, crossEntropyParameters } from './cross-entropy.ts';

/** One workgroup per row: (softmax(logits) - smoothed target) times the gradient of the row's loss; rows that are ignored 0. */
const crossEntropyGradientKernel = defineKernel<{ readonly lanes: number }>({
  name: 'crossEntropyGradient',
  bindings: () => [
    { name: 'logits', type: 'array<f32>', access: 'read' },
    { name: 'targets', type: 'array<u32>', access: 'read' },
    { name: 'gradient', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['classes', 'u32'],
    ['ignored', 'u32'],
    ['smoothing', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ lanes }, capabilities) => ({
    declarations: `${workgroupReduction('row_max', lanes, 'max(a, b)', capabilities)}
${workgroupReduction('row_sum', lanes, 'a + b', capabilities)}`,
    main: `
  let base = group * params.classes;
  var own = ${LOWEST};
  for (var index = lane; index < params.classes; index += ${lanes}u) { own = max(own, logits[base + index]); }
  let top = row_max(own, lane);
  var part = 0.0;
  for (var index = lane; index < params.classes; index += ${lanes}u) { part += exp(logits[base + index] - top); }
  let total = row_sum(part, lane);
  let factor = select(gradient[group], 0.0, targets[group] == params.ignored);
  let even = params.smoothing / f32(params.classes);
  let hit = min(targets[group], params.classes - 1u);
  for (var index = lane; index < params.classes; index += ${lanes}u) {
    let wanted = even + select(0.0, 1.0 - params.smoothing, index == hit);
    result[base + index] = factor * (exp(logits[base + index] - top) / total - wanted);
  }`,
  }),
});

/**
 * The gradient of {@link crossEntropy} by the logits.
 *
 * @param logits f32 [N, V], contiguous
 * @param targets u32 [N]
 * @param gradient f32 [N], of the losses
 * @returns f32 [N, V]
 */
export function crossEntropyGradient(
  logits: Tensor,
  targets: Tensor,
  gradient: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const { gpu } = logits;
  const [rows, classes] = logits.shape as [number, number];
  return gpu.tidy(() => {
    const result = gpu.empty(logits.shape);
    gpu.launch(
      crossEntropyGradientKernel,
      { lanes: lanesPerRow(classes, gpu.capabilities) },
      {
        bindings: [contiguous(logits), contiguous(targets), contiguous(gradient), result],
        parameters: [classes, ...crossEntropyParameters(options)],
        workgroups: rows,
        cost: { flops: 8 * logits.size, bytes: 8 * logits.size },
      },
    );
    return result;
  });
}
