import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import type { SoftmaxOptions } from './softmax.ts';

interface SoftmaxGradientVariant extends Variant {
  readonly log: boolean;
  readonly lanes: number;
}

/** One workgroup per row of y: y (g - sum(y g)), of the logarithm g - e^y sum(g). */
const softmaxGradientKernel = defineKernel<SoftmaxGradientVariant>({
  name: 'softmaxGradient',
  bindings: () => [
    { name: 'y', type: 'array<f32>', access: 'read' },
    { name: 'gradient', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['columns', 'u32']],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ log, lanes }, capabilities) => ({
    declarations: workgroupReduction('row_sum', lanes, 'a + b', capabilities),
    main: `
  let base = group * params.columns;
  var own = 0.0;
  for (var at = base + lane; at < base + params.columns; at += ${lanes}u) {
    ${log ? `own += select(gradient[at], 0.0, y[at] <= 0.5 * ${LOWEST});` : 'own += y[at] * gradient[at];'}
  }
  let total = row_sum(own, lane);
  for (var at = base + lane; at < base + params.columns; at += ${lanes}u) {
    result[at] = ${
      log
        ? `select(gradient[at] - exp(y[at]) * total, 0.0, y[at] <= 0.5 * ${LOWEST})`
        : 'y[at] * (gradient[at] - total)'
    };
  }`,
  }),
});

function launchGradient(output: Tensor, gradient: Tensor, axis: number, log: boolean): Tensor {
  const { gpu } = output;
  const last = output.rank - 1;
  const at = axis < 0 ? axis + output.rank : axis;
  const columns = output.shape[at] as number;
  return gpu.tidy(() => {
    // As in the forward pass: the axis last; swapping is its own inverse.
    const order = output.shape.map((_, index) => index);
    order[at] = last;
    order[last] = at;
    const rows = [output, gradient].map((tensor) => contiguous(tensor.transpose(...order)));
    const result = gpu.empty((rows[0] as Tensor).shape);
    gpu.launch(
      softmaxGradientKernel,
      { log, lanes: lanesPerRow(columns, gpu.capabilities) },
      {
        bindings: [...rows, result],
        parameters: [columns],
        workgroups: output.size === 0 ? 0 : output.size / columns,
        cost: { flops: 4 * output.size, bytes: 12 * output.size },
      },
    );
    return contiguous(result.transpose(...order));
  });
}

/**
 * The gradient of {@link softmax}: `y (g - sum(y g))` along the axis.
 *
 * @param output f32, what softmax gave
 * @param gradient f32, same shape
 * @returns f32, same shape
 */
export function softmaxGradient(output: Tensor, gradient: Tensor, { axis = -1 }: SoftmaxOptions = {}): Tensor {
  return launchGradient(output, gradient, axis, false);
}

/** The gradient of {@link logSoftmax}: `g - e^y sum(g)` along the axis, 0 for masked elements, whose g does not count. */
export function logSoftmaxGradient(output: Tensor, gradient: Tensor, { axis = -1 }: SoftmaxOptions = {}): Tensor {
  return launchGradient(output, gradient, axis, true);
}
