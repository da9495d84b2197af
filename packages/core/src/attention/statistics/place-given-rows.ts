import { defineKernel } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { GivenProbabilities } from '../given-probabilities.ts';

const lanes = 64;
const absent = 0xffffffff;

/** One workgroup per given row; those of queries that are not among the rows of the result end at once. */
const placeGivenRowsKernel = defineKernel({
  name: 'attention.placeGivenRows',
  bindings: () => [
    { name: 'given_rows', type: 'array<u32>', access: 'read' },
    { name: 'given', type: 'array<f32>', access: 'read' },
    { name: 'given_count', type: 'array<u32>', access: 'read' },
    { name: 'slots', type: 'array<u32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['batches', 'u32'],
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['rows', 'u32'],
    ['keys', 'u32'],
    ['columns', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  if (group >= given_count[0]) { return; }
  let batch = min(given_rows[3u * group], params.batches - 1u);
  let head = min(given_rows[3u * group + 1u], params.heads - 1u);
  let slot = slots[min(given_rows[3u * group + 2u], params.queries - 1u)];
  if (slot == ${absent}u) { return; }
  let base = ((batch * params.heads + head) * params.rows + slot) * params.keys;
  for (var key = lane; key < params.keys; key += ${lanes}u) { result[base + key] = given[group * params.columns + key]; }`,
  }),
});

/**
 * Writes the rows that a call was given in place of those that its scores have.
 *
 * @param rows f32 [B, H, R, M] of the queries `named`, columns from 0, contiguous; changed in place
 * @param queries Queries of the call, N.
 */
export function placeGivenRows(
  rows: Tensor,
  named: readonly number[],
  queries: number,
  { rows: places, probabilities, count }: GivenProbabilities,
): void {
  const { gpu } = rows;
  const [batches, heads, shown, keys] = rows.shape as [number, number, number, number];
  const [given, columns] = probabilities.shape as [number, number];
  const slots = new Uint32Array(queries).fill(absent);
  for (const [slot, query] of named.entries()) slots[query] = slot;
  gpu.tidy(() => {
    const counted = count ?? gpu.tensor([given], [1], 'u32');
    gpu.launch(
      placeGivenRowsKernel,
      {},
      {
        bindings: [places, probabilities, counted, gpu.tensor(slots, [queries], 'u32'), rows],
        parameters: [batches, heads, queries, shown, keys, columns],
        workgroups: given,
        cost: { flops: 0, bytes: 8 * given * keys },
      },
    );
  });
}
