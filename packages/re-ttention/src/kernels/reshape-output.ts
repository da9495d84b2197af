import { defineKernel, type Tensor } from '@saccade/core';
import { type CachedStatistics, rowsFirst } from './cache-statistics.ts';

const lanes = 64;

/** One invocation per element of the output [B, N, H, D]. */
const reshapeKernel = defineKernel({
  name: 're-ttention.reshapeOutput',
  bindings: () => [
    { name: 'part', type: 'array<f32>', access: 'read' },
    { name: 'ratio', type: 'array<f32>', access: 'read' },
    { name: 'residual', type: 'array<f32>', access: 'read' },
    { name: 'output', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['head_size', 'u32'],
    ['added', 'f32'],
    ['clamped', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let at = group * ${lanes}u + lane;
  if (at >= params.size) { return; }
  let row = at / params.head_size; // (batch, query, head)
  let head = row % params.heads;
  let query = row / params.heads % params.queries;
  let ramped = ratio[(row / (params.heads * params.queries) * params.heads + head) * params.queries + query] + params.added;
  output[at] = select(ramped, min(ramped, 1.0), params.clamped != 0u) * part[at] + residual[at];`,
  }),
});

export interface ReshapeOptions {
  /** What the ramp adds to the ratios by now. */
  readonly added: number;
  /** Whether ratios stay at 1 or less. */
  readonly clamped: boolean;
}

/**
 * (ratio + added) * part + residual: the output over the kept keys, as if the others had been there.
 *
 * @param part f32 [B, H, N, D]
 * @returns likewise
 */
export function reshapeOutput(part: Tensor, { ratio, residual }: CachedStatistics, options: ReshapeOptions): Tensor {
  const { gpu } = part;
  const [batches, heads, queries, headSize] = part.shape as [number, number, number, number];
  const output = gpu.empty([batches, queries, heads, headSize]);
  gpu.launch(
    reshapeKernel,
    {},
    {
      bindings: [rowsFirst(part), ratio, residual, output],
      parameters: [part.size, heads, queries, headSize, options.added, options.clamped ? 1 : 0],
      workgroups: Math.ceil(part.size / lanes),
      cost: { flops: 3 * part.size, bytes: 12 * part.size },
    },
  );
  return output.transpose(0, 2, 1, 3);
}
