import { defineKernel } from '../../kernels/kernel.ts';
import { LOWEST } from '../../kernels/wgsl.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { AttentionShape } from '../check-inputs.ts';
import { inputAccess, quadOfRow } from '../elements.ts';
import { inQuads, placeOf, stridedInput } from '../strided-input.ts';

interface RowSumsVariant {
  readonly vector: boolean;
  /** Head size where it is no multiple of four, else 0. */
  readonly raggedHeadSize: number;
  readonly [field: string]: string | number | boolean;
}

const lanes = 64;

/**
 * What the backward pass needs of each row: D_i = sum over the head size of dO O (FlashAttention-2, arXiv 2307.08691, algorithm 2), and its log-sum-exp.
 * Rows that saw no key get the negated sentinel as log-sum-exp, so that every probability recomputed from it is zero. One
 * invocation per row.
 */
const rowSums = defineKernel<RowSumsVariant>({
  name: 'attention.backwardRowSums',
  bindings: ({ vector }, capabilities) => [
    { name: 'gradient', type: inputAccess('gradient', 'f32', vector, capabilities).type, access: 'read' },
    { name: 'output', type: inputAccess('output', 'f32', vector, capabilities).type, access: 'read' },
    { name: 'log_sum_exps', type: 'array<f32>', access: 'read' },
    { name: 'rows', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['row_count', 'u32'],
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['quads', 'u32'],
    ['gradient_start', 'u32'],
    ['gradient_batch', 'u32'],
    ['gradient_head', 'u32'],
    ['gradient_row', 'u32'],
    ['output_start', 'u32'],
    ['output_batch', 'u32'],
    ['output_head', 'u32'],
    ['output_row', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ vector, raggedHeadSize }, capabilities) => {
    const quad = (name: 'gradient' | 'output') => {
      const at = `${name}_at + 4u * quad`;
      return quadOfRow(inputAccess(name, 'f32', vector, capabilities), raggedHeadSize, at, 'quad');
    };
    const place = (name: 'gradient' | 'output') =>
      `let ${name}_at = params.${name}_start + batch * params.${name}_batch + head * params.${name}_head + query * params.${name}_row;`;
    return {
      main: `
  let row = group * ${lanes}u + lane;
  if (row >= params.row_count) { return; }
  let query = row % params.queries;
  let head = row / params.queries % params.heads;
  let batch = row / (params.queries * params.heads);
  ${place('gradient')}
  ${place('output')}
  var total = 0.0;
  for (var quad = 0u; quad < params.quads; quad++) {
    total += dot(${quad('gradient')}, ${quad('output')});
  }
  let log_sum_exp = log_sum_exps[row];
  let seen = log_sum_exp > 0.5 * ${LOWEST};
  rows[row] = select(0.0, total, seen);
  rows[params.row_count + row] = select(-(${LOWEST}), log_sum_exp, seen);`,
    };
  },
});

/** f32 [2, B, H, N]: D_i, then the log-sum-exps as the gradient kernels take them. Call inside `gpu.tidy`. */
export function backwardRowSums(
  gradient: Tensor,
  output: Tensor,
  logSumExp: Tensor,
  { batches, heads, queries, headSize }: AttentionShape,
): Tensor {
  const { gpu } = gradient;
  const given = stridedInput(gpu, 'attentionBackward', 'dOut', gradient);
  const made = stridedInput(gpu, 'attentionBackward', 'output', output);
  const rows = gpu.empty([2, batches, heads, queries]);
  const count = batches * heads * queries;
  const quads = headSize % 4 === 0;
  gpu.launch(
    rowSums,
    { vector: quads && inQuads(given) && inQuads(made), raggedHeadSize: quads ? 0 : headSize },
    {
      bindings: [given.range, made.range, logSumExp, rows],
      parameters: [count, heads, queries, Math.ceil(headSize / 4), ...placeOf(given), ...placeOf(made)],
      workgroups: Math.ceil(count / lanes),
      cost: { flops: 2 * count * headSize, bytes: 4 * count * (2 * headSize + 3) },
    },
  );
  return rows;
}
