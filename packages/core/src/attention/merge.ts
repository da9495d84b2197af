import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { contiguous } from '../ops/copy.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ResultBuffer, type ResultShape, resultBuffer, resultViews } from './result.ts';
import type { AttentionPartial } from './types.ts';

const workgroupSize = 64;

/** Parts that stand one behind the other in a result buffer: what split-KV decoding leaves. */
const mergeParts = defineKernel({
  name: 'attention-merge',
  bindings: () => [
    { name: 'parts', type: 'array<f32>', access: 'read' },
    { name: 'output', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['part_count', 'u32'],
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['head_size', 'u32'],
    ['part_log_sum_exp', 'u32'],
    ['part_row_maximum', 'u32'],
    ['statistics', 'u32'],
    ['normalised', 'u32'],
    ['log_sum_exp_start', 'u32'],
    ['row_maximum_start', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size) { return; }
  let d = index % params.head_size;
  let row = index / params.head_size; // (batch, query, head)
  let rows = params.size / params.head_size;
  let head = row % params.heads;
  let query = (row / params.heads) % params.queries;
  let statistic = ((row / (params.heads * params.queries)) * params.heads + head) * params.queries + query;
  var maximum = ${LOWEST};
  for (var part = 0u; part < params.part_count; part++) {
    maximum = max(maximum, parts[params.part_log_sum_exp + part * rows + statistic]);
  }
  let seen = maximum > 0.5 * ${LOWEST};
  var sum = 0.0;
  var total = 0.0;
  for (var part = 0u; part < params.part_count; part++) {
    let weight = exp(parts[params.part_log_sum_exp + part * rows + statistic] - maximum);
    sum += weight;
    total += select(weight, 1.0, params.normalised != 0u) * parts[part * params.size + index];
  }
  output[index] = select(0.0, total / select(sum, 1.0, params.normalised != 0u), seen);
  if (params.statistics != 0u && d == 0u) {
    output[params.log_sum_exp_start + statistic] = select(${LOWEST}, maximum + log(sum), seen);
    if (params.statistics == 1u) { return; }
    var row_maximum = ${LOWEST};
    for (var part = 0u; part < params.part_count; part++) {
      row_maximum = max(row_maximum, parts[params.part_row_maximum + part * rows + statistic]);
    }
    output[params.row_maximum_start + statistic] = row_maximum;
  }`,
  }),
});

export interface MergeOptions {
  /** Which statistics a merge computes; the row maxima of the parts are read only for `all`. */
  readonly statistics: 'none' | 'logSumExp' | 'all';
  /** The parts are normalised over all keys already: their outputs add up. Default false. */
  readonly normalised?: boolean;
}

/** Combines `count` parts of a result buffer into a result of one part. */
export function mergeResultParts(
  parts: ResultBuffer,
  count: number,
  shape: ResultShape,
  { statistics, normalised = false }: MergeOptions,
): ResultBuffer {
  const { gpu } = parts.buffer;
  const result = resultBuffer(gpu, shape, 1, statistics !== 'none');
  const size = shape.batches * shape.queries * shape.heads * shape.headSize;
  gpu.launch(
    mergeParts,
    {},
    {
      bindings: [parts.buffer, result.buffer],
      parameters: [
        size,
        count,
        shape.heads,
        shape.queries,
        shape.headSize,
        parts.logSumExpStart,
        parts.rowMaximumStart,
        ['none', 'logSumExp', 'all'].indexOf(statistics),
        normalised ? 1 : 0,
        result.logSumExpStart,
        result.rowMaximumStart,
      ],
      workgroups: Math.ceil(size / workgroupSize),
      cost: { flops: 3 * size * count, bytes: 4 * size * (count + 1) },
    },
  );
  return result;
}

/**
 * Combines attention over disjoint sets of keys into attention over their union, by the log-sum-exps:
 * output = sum_i exp(lse_i - lse) output_i with lse = log sum_i exp(lse_i). Rows that saw no key in any part give zeros.
 *
 * @param partials Outputs [B, H, N, D] with their log-sum-exps [B, H, N], as `attention` returns them (f32).
 * @throws ArgumentError without partials; ShapeError where shapes differ.
 */
export function mergeAttention(partials: readonly AttentionPartial[]): AttentionPartial {
  const [first] = partials;
  if (!first) throw new ArgumentError('mergeAttention: partials', '[]', 'at least one');
  const { gpu } = first.output;
  const [batches, heads, queries, headSize] = first.output.shape as [number, number, number, number];
  for (const { output, logSumExp } of partials) {
    if (!sameShape(output.shape, first.output.shape) || !sameShape(logSumExp.shape, [batches, heads, queries])) {
      throw new ShapeError(
        'mergeAttention',
        `output [${output.shape}] and logSumExp [${logSumExp.shape}] are not [B, H, N, D] and [B, H, N] of [${first.output.shape}].`,
      );
    }
    if (output.dtype !== 'f32' || logSumExp.dtype !== 'f32') {
      throw new ArgumentError('mergeAttention: dtypes', `${output.dtype} and ${logSumExp.dtype}`, 'f32');
    }
  }
  const shape = { batches, heads, queries, headSize };
  return gpu.tidy(() => {
    const stacked = resultBuffer(gpu, shape, partials.length, true);
    const target = gpu.range(stacked.buffer, 'mergeAttention');
    partials.forEach(({ output, logSumExp }, part) => {
      const copy = (tensor: Tensor, start: number) => {
        const bytes = tensor.size * 4;
        gpu.copyBytes(
          gpu.range(contiguous(tensor), 'mergeAttention'),
          { ...target, offset: start * 4 + part * bytes },
          bytes,
        );
      };
      copy(output.transpose(0, 2, 1, 3), 0);
      copy(logSumExp, stacked.logSumExpStart);
    });
    const merged = mergeResultParts(stacked, partials.length, shape, { statistics: 'logSumExp' });
    const { output, logSumExp } = resultViews(merged, shape, { logSumExp: true, rowMaximum: false });
    return { output, logSumExp: logSumExp as Tensor };
  });
}
