import { ArgumentError, ShapeError } from '../errors.ts';
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
  parameters: [
    ['classes', 'u32'],
    ['ignored', 'u32'],
    ['smoothing', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    declarations: `
var<workgroup> maxima: array<f32, ${lanes}>;
var<workgroup> sums: array<f32, ${lanes}>;
var<workgroup> logit_sums: array<f32, ${lanes}>;`,
    main: `
  let base = group * params.classes;
  var maximum = ${LOWEST};
  var sum = 0.0;
  var logit_sum = 0.0;
  for (var index = lane; index < params.classes; index += ${lanes}u) {
    let value = logits[base + index];
    logit_sum += value;
    if (value > maximum) {
      sum = sum * exp(maximum - value) + 1.0;
      maximum = value;
    } else {
      sum += exp(value - maximum);
    }
  }
  maxima[lane] = maximum;
  sums[lane] = sum;
  logit_sums[lane] = logit_sum;
  workgroupBarrier();
  if (lane == 0u) {
    for (var other = 1u; other < ${lanes}u; other++) { maximum = max(maximum, maxima[other]); }
    var total = 0.0;
    for (var other = 0u; other < ${lanes}u; other++) { total += sums[other] * exp(maxima[other] - maximum); }
    var score = logits[base + min(targets[group], params.classes - 1u)];
    if (params.smoothing > 0.0) {
      var all = 0.0;
      for (var other = 0u; other < ${lanes}u; other++) { all += logit_sums[other]; }
      score += params.smoothing * (all / f32(params.classes) - score);
    }
    losses[group] = select(log(total) + maximum - score, 0.0, targets[group] == params.ignored);
  }`,
  }),
});

export interface CrossEntropyOptions {
  /** Rows with this target have no loss and no gradient. Default 2^32 - 1, which is no class. */
  readonly ignoreIndex?: number;
  /** Share of the target's probability that is spread evenly over all classes, from 0 to below 1. Default 0. */
  readonly labelSmoothing?: number;
}

/** The options as the kernels take them: the ignored target (no class where there is none), and the smoothing. */
export function crossEntropyParameters(options: CrossEntropyOptions): [ignored: number, smoothing: number] {
  const { ignoreIndex = 2 ** 32 - 1, labelSmoothing = 0 } = options;
  if (!(Number.isInteger(ignoreIndex) && ignoreIndex >= 0 && ignoreIndex < 2 ** 32)) {
    throw new ArgumentError('crossEntropy: ignoreIndex', ignoreIndex, 'an integer from 0 to 2^32 - 1');
  }
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw new ArgumentError('crossEntropy: labelSmoothing', labelSmoothing, '0 <= labelSmoothing < 1');
  }
  return [ignoreIndex, labelSmoothing];
}

/**
 * Negative log-likelihood of one target per row, in nats, without a tensor of probabilities; with label smoothing the cross-entropy
 * to the smoothed targets (Szegedy et al., 2016, section 7).
 *
 * @param logits f32 [N, V], contiguous.
 * @param targets u32 [N], each below V or the ignored one. Without `ignoreIndex`, that is 2^32 - 1.
 * @returns f32 [N].
 * @throws ShapeError when the shapes do not fit, ArgumentError for an option out of its range.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
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
      parameters: [classes as number, ...crossEntropyParameters(options)],
      workgroups: rows as number,
      cost: { flops: 3 * logits.size, bytes: 4 * logits.size },
    },
  );
  return losses;
}
