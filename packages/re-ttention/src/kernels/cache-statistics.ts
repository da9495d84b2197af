import { contiguous, defineKernel, type Tensor } from '@saccade/core';

const lanes = 64;

/**
 * One invocation per element of the outputs [B, N, H, D]; the first of a row also writes the row's ratio.
 * Invariant: residual + ratio * part = full.
 */
const cacheKernel = defineKernel({
  name: 're-ttention.cacheStatistics',
  bindings: () => [
    { name: 'full', type: 'array<f32>', access: 'read' },
    { name: 'part', type: 'array<f32>', access: 'read' },
    { name: 'full_lse', type: 'array<f32>', access: 'read' },
    { name: 'part_lse', type: 'array<f32>', access: 'read' },
    { name: 'ratio', type: 'array<f32>', access: 'read_write' },
    { name: 'residual', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['head_size', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let at = group * ${lanes}u + lane;
  if (at >= params.size) { return; }
  let row = at / params.head_size; // (batch, query, head)
  let head = row % params.heads;
  let query = row / params.heads % params.queries;
  let statistic = (row / (params.heads * params.queries) * params.heads + head) * params.queries + query;
  let own = exp(part_lse[statistic] - full_lse[statistic]);
  residual[at] = full[at] - own * part[at];
  if (at % params.head_size == 0u) { ratio[statistic] = own; }`,
  }),
});

/** Attention over all keys, or over some of them. */
export interface Attended {
  /** f32 [B, H, N, D], the engine's view of [B, N, H, D]. */
  readonly output: Tensor;
  /** f32 [B, H, N] */
  readonly logSumExp: Tensor;
}

/** What a caching step keeps of one layer. */
export interface CachedStatistics {
  /** f32 [B, H, N]: probability mass of the kept keys, which is the ratio of the softmax denominators. */
  readonly ratio: Tensor;
  /** f32 [B, N, H, D]: what all other keys contribute to the output. */
  readonly residual: Tensor;
}

/** The statistics of a dense output and of the output over the kept keys. */
export function cacheStatistics(full: Attended, part: Attended): CachedStatistics {
  const { output } = full;
  const { gpu } = output;
  const [batches, heads, queries, headSize] = output.shape as [number, number, number, number];
  const ratio = gpu.empty([batches, heads, queries]);
  const residual = gpu.empty([batches, queries, heads, headSize]);
  gpu.launch(
    cacheKernel,
    {},
    {
      bindings: [
        rowsFirst(output),
        rowsFirst(part.output),
        contiguous(full.logSumExp),
        contiguous(part.logSumExp),
        ratio,
        residual,
      ],
      parameters: [output.size, heads, queries, headSize],
      workgroups: Math.ceil(output.size / lanes),
      cost: { flops: 3 * output.size, bytes: 12 * output.size },
    },
  );
  return { ratio, residual };
}

/** [B, N, H, D]; a view of what the engine gives, a copy of other layouts. */
export function rowsFirst(output: Tensor): Tensor {
  return contiguous(output.transpose(0, 2, 1, 3));
}
