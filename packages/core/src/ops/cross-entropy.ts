import { ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import type { Tensor } from '../tensor/tensor.ts';

const lanes = 64;

/** One workgroup per row: the row's log-sum-exp in one pass, then the target's negative log-probability. */
const crossEntropyRows = defineKernel({
  name: 'crossEntropy',
  bindings: () => [
    { name: 'logits', type: 'array<f32>', access: 'read' },
    { name: 'targets', type: 'array<u32>', access: 'read' },
    { name: 'losses', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['classes', 'u32']],
  workgroupSize: () => lanes,
  source: () => ({
    declarations: `
var<workgroup> maxima: array<f32, ${lanes}>;
var<workgroup> sums: array<f32, ${lanes}>;`,
    main: `
  let base = group * params.classes;
  var maximum = ${LOWEST};
  var sum = 0.0;
  for (var index = lane; index < params.classes; index += ${lanes}u) {
    let value = logits[base + index];
    if (value > maximum) {
      sum = sum * exp(maximum - value) + 1.0;
      maximum = value;
    } else {
      sum += exp(value - maximum);
    }
  }
  maxima[lane] = maximum;
  sums[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    for (var other = 1u; other < ${lanes}u; other++) { maximum = max(maximum, maxima[other]); }
    var total = 0.0;
    for (var other = 0u; other < ${lanes}u; other++) { total += sums[other] * exp(maxima[other] - maximum); }
    losses[group] = log(total) + maximum - logits[base + min(targets[group], params.classes - 1u)];
  }`,
  }),
});

/**
 * Negative log-likelihood of one target per row, in nats, without a tensor of probabilities.
 *
 * @param logits f32 [N, V], contiguous.
 * @param targets u32 [N], each below V.
 * @returns f32 [N].
 * @throws ShapeError when the shapes do not fit.
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const [rows, classes] = logits.shape;
  if (
    logits.rank !== 2 ||
    targets.rank !== 1 ||
    targets.shape[0] !== rows ||
    logits.dtype !== 'f32' ||
    targets.dtype !== 'u32'
  ) {
    throw new ShapeError(
      'crossEntropy',
      `logits ${logits.dtype}[${logits.shape}] and targets ${targets.dtype}[${targets.shape}]; needs f32 [N, V] and u32 [N].`,
    );
  }
  const losses = logits.gpu.empty([rows as number]);
  logits.gpu.launch(
    crossEntropyRows,
    {},
    {
      bindings: [logits, targets, losses],
      parameters: [classes as number],
      workgroups: rows as number,
      cost: { flops: 3 * logits.size, bytes: 4 * logits.size },
    },
  );
  return losses;
}
