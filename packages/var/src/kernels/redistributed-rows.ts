import { contiguous, defineKernel, type KeySets, type Tensor } from '@saccade/core';
import { newMass, sets } from '../new-mass.ts';
import type { ResolvedVarOptions } from '../options.ts';

const lanes = 64;
const numbers = ['keep', 'minNonSinkRatio', 'minVisualMass'] as const;

/** One workgroup per row. All keys of a set change by the same factor. */
const redistributedRowsKernel = defineKernel({
  name: 'var.redistributedRows',
  bindings: () => [
    { name: 'masses', type: 'array<f32>', access: 'read' },
    { name: 'ids', type: 'array<u32>', access: 'read' },
    { name: 'rows', type: 'array<f32>', access: 'read' },
    { name: 'redistributed', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['count', 'u32'], ['keys', 'u32'], ...numbers.map((name) => [name, 'f32'] as const)],
  workgroupSize: () => lanes,
  source: () => {
    const mass = (set: number) => `own[${set}]`;
    const factor = (set: number) =>
      `factors[${set}] = select(1.0, ${newMass({ set, mass, number: (name) => `params.${name}` })} / ${mass(set)}, ${mass(set)} > 0.0);`;
    return {
      main: `
  var own: array<f32, ${sets.length}>;
  for (var part = 0u; part < ${sets.length}u; part++) { own[part] = masses[part * params.count + group]; }
  var factors: array<f32, ${sets.length}>;
  ${sets.map(factor).join('\n  ')}
  for (var key = lane; key < params.keys; key += ${lanes}u) {
    let at = group * params.keys + key;
    redistributed[at] = rows[at] * factors[min(ids[key], ${sets.length - 1}u)];
  }`,
    };
  },
});

/**
 * Rows of probabilities after redistribution, written down: what {@link redistribute} weighs values with.
 *
 * @param probabilities f32 [1, H, N, M], before
 * @param masses f32 [4, 1, H, N], as `redistribute` gives them
 * @returns f32 [H N, M]
 */
export function redistributedRows(
  probabilities: Tensor,
  masses: Tensor,
  { ids }: KeySets,
  options: Pick<ResolvedVarOptions, (typeof numbers)[number]>,
): Tensor {
  const { gpu } = probabilities;
  return gpu.tidy(() => {
    const [, heads, queries, keys] = probabilities.shape as [number, number, number, number];
    const count = heads * queries;
    const result = gpu.empty([count, keys]);
    gpu.launch(
      redistributedRowsKernel,
      {},
      {
        bindings: [contiguous(masses), ids, contiguous(probabilities), result],
        parameters: [count, keys, ...numbers.map((name) => options[name])],
        workgroups: count,
        cost: { flops: count * keys, bytes: 8 * count * keys },
      },
    );
    return result;
  });
}
