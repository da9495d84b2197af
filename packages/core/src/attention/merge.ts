import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { type ResultBuffer, type ResultShape, resultBuffer } from './result.ts';

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
    total += weight * parts[part * params.size + index];
  }
  output[index] = select(0.0, total / sum, seen);
  if (params.statistics != 0u && d == 0u) {
    var row_maximum = ${LOWEST};
    for (var part = 0u; part < params.part_count; part++) {
      row_maximum = max(row_maximum, parts[params.part_row_maximum + part * rows + statistic]);
    }
    output[params.log_sum_exp_start + statistic] = select(${LOWEST}, maximum + log(sum), seen);
    output[params.row_maximum_start + statistic] = row_maximum;
  }`,
  }),
});

/** Combines `count` parts of a result buffer into a result of one part. */
export function mergeResultParts(
  parts: ResultBuffer,
  count: number,
  shape: ResultShape,
  statistics: boolean,
): ResultBuffer {
  const { gpu } = parts.buffer;
  const result = resultBuffer(gpu, shape, 1, statistics);
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
        statistics ? 1 : 0,
        result.logSumExpStart,
        result.rowMaximumStart,
      ],
      workgroups: Math.ceil(size / workgroupSize),
      cost: { flops: 3 * size * count, bytes: 4 * size * (count + 1) },
    },
  );
  return result;
}
