import { defineKernel } from '../kernels/kernel.ts';
import { contiguous } from '../ops/copy.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PaddedRows } from './types.ts';

const workgroupSize = 64;

/** Scores of rows that must stay are above those of rows that are among the best of their head, and those above all given ones. */
const [mustStay, bestOfHead, mostGiven] = ['3e38', '2e38', '1e38'];

const protectKernel = defineKernel<Record<never, never>>({
  name: 'eviction-protect',
  bindings: () => [
    { name: 'scores', type: 'array<f32>', access: 'read' },
    { name: 'positions', type: 'array<u32>', access: 'read' },
    { name: 'lengths', type: 'array<u32>', access: 'read' },
    { name: 'protected_scores', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['length', 'u32'],
    ['sinks', 'u32'],
    ['recent_from', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size) { return; }
  let position = positions[index];
  let stays = position < params.sinks || position >= params.recent_from;
  let given = clamp(scores[index], -${mostGiven}, ${mostGiven});
  let counts_here = index % params.length < lengths[index / params.length];
  protected_scores[index] = select(-${mustStay}, select(given, ${mustStay}, stays), counts_here);`,
  }),
});

/**
 * Scores under which sinks and recent rows come first and rows that do not count last: f32, shape of `scores`.
 *
 * @param recentFrom Position from which on rows are recent.
 */
export function protectRows(
  scores: Tensor,
  { positions, lengths }: Pick<PaddedRows, 'positions' | 'lengths'>,
  sinks: number,
  recentFrom: number,
): Tensor {
  const { gpu, size } = scores;
  const out = gpu.empty(scores.shape);
  gpu.launch(
    protectKernel,
    {},
    {
      bindings: [scores, contiguous(positions), contiguous(lengths), out],
      parameters: [size, scores.shape.at(-1) as number, sinks, recentFrom],
      workgroups: Math.ceil(size / workgroupSize),
      cost: { flops: 2 * size, bytes: 12 * size },
    },
  );
  return out;
}

const boostKernel = defineKernel<Record<never, never>>({
  name: 'eviction-boost',
  bindings: () => [
    { name: 'list', type: 'array<u32>', access: 'read' },
    { name: 'scores', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['list_length', 'u32'],
    ['length', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size || list[index] >= params.length) { return; }
  let at = index / params.list_length * params.length + list[index];
  scores[at] = max(scores[at], ${bestOfHead});`,
  }),
});

/** Lifts listed rows of each head, u32 [B, Hkv, K], above all others that need not stay. Changes `scores` [B, Hkv, M]. */
export function boostListed(scores: Tensor, list: Tensor): void {
  scores.gpu.launch(
    boostKernel,
    {},
    {
      bindings: [list, scores],
      parameters: [list.size, list.shape[2] as number, scores.shape[2] as number],
      workgroups: Math.ceil(list.size / workgroupSize),
      cost: { flops: 0, bytes: 12 * list.size },
    },
  );
}

/** One workgroup per head: its stretch of the ascending list of its sequence is found by bisection. */
const splitKernel = defineKernel<Record<never, never>>({
  name: 'eviction-split',
  bindings: () => [
    { name: 'list', type: 'array<u32>', access: 'read' },
    { name: 'lengths', type: 'array<u32>', access: 'read' },
    { name: 'indices', type: 'array<u32>', access: 'read_write' },
    { name: 'counts', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['listed', 'u32'],
    ['kv_heads', 'u32'],
    ['length', 'u32'],
    ['width', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    declarations: `
fn first_at_least(base: u32, bound: u32) -> u32 {
  var low = 0u;
  var high = params.listed;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (list[base + middle] < bound) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}`,
    main: `
  let base = group / params.kv_heads * params.listed;
  let first = group % params.kv_heads * params.length;
  let begin = first_at_least(base, first);
  let count = min(first_at_least(base, first + min(lengths[group], params.length)) - begin, params.width);
  for (var at = lane; at < params.width; at += ${workgroupSize}u) {
    indices[group * params.width + at] = select(0xffffffffu, list[base + min(begin + at, params.listed - 1u)] - first, at < count);
  }
  if (lane == 0u) { counts[group] = count; }`,
  }),
});

/**
 * Lists per head from one list per sequence.
 *
 * @param list u32 [B, K], ascending: head * length + row.
 * @returns indices u32 [B, Hkv, min(K, length)] and counts u32 [B, Hkv]
 */
export function splitByHead(list: Tensor, lengths: Tensor, length: number): { indices: Tensor; counts: Tensor } {
  const { gpu } = list;
  const [batch, kvHeads] = lengths.shape as [number, number];
  const listed = list.shape[1] as number;
  const width = Math.min(listed, length);
  const indices = gpu.empty([batch, kvHeads, width], 'u32');
  const counts = gpu.empty([batch, kvHeads], 'u32');
  gpu.launch(
    splitKernel,
    {},
    {
      bindings: [list, contiguous(lengths), indices, counts],
      parameters: [listed, kvHeads, length, width],
      workgroups: batch * kvHeads,
      cost: { flops: 0, bytes: 8 * indices.size },
    },
  );
  return { indices, counts };
}
