import { defineKernel } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';

const lanes = 64;

/** Positions of consecutive rows of every head. */
const positionsKernel = defineKernel<{ readonly given: boolean }>({
  name: 'cache-page-positions',
  bindings: ({ given }) => [
    { name: 'table', type: 'array<u32>', access: 'read' },
    ...(given ? [{ name: 'list', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'positions', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['count', 'u32'],
    ['kv_heads', 'u32'],
    ['rows', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ given }) => ({
    main: `
  let index = group * ${lanes}u + lane;
  if (index >= params.size) { return; }
  let item = index % params.count;
  let head = index / params.count;
  let sequence = head / params.kv_heads;
  let row = table[2u * sequence] + item;
  if (row >= params.rows) { return; }
  positions[head * params.rows + row] = ${given ? 'list[item]' : 'table[2u * sequence + 1u] + item'};`,
  }),
});

/**
 * Writes the positions of `count` rows of every head.
 *
 * @param positions u32 [B, Hkv, M]
 * @param table First row and first position of each sequence, u32 [B, 2].
 * @param given Positions of the rows, u32 [count], in place of consecutive ones.
 */
export function writePositions(positions: Tensor, table: Tensor, count: number, given?: Tensor): void {
  const [batch, kvHeads, rows] = positions.shape as [number, number, number];
  const size = batch * kvHeads * count;
  positions.gpu.launch(
    positionsKernel,
    { given: given !== undefined },
    {
      bindings: [table, ...(given ? [given] : []), positions],
      parameters: [size, count, kvHeads, rows],
      workgroups: Math.ceil(size / lanes),
      cost: { flops: 0, bytes: 4 * size },
    },
  );
}
