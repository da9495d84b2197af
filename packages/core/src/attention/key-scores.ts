import type { LaunchBinding } from '../device/gpu.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type AttentionDtype, inputAccess, quadOfRow } from './elements.ts';
import { inQuads, type StridedInput, stridedInput } from './strided-input.ts';
import type { HeadGrouping } from './types.ts';

const lanes = 64;

interface KeyScoresVariant {
  readonly headSize: number;
  /** Query heads that read one key/value head. */
  readonly group: number;
  readonly per: HeadGrouping;
  readonly queryDtype: AttentionDtype;
  readonly keyDtype: AttentionDtype;
  readonly queryVector: boolean;
  readonly keyVector: boolean;
  readonly keyLengths: boolean;
  readonly [field: string]: string | number | boolean;
}

/**
 * One invocation per key of a (batch, key/value head): the key's row is loaded once for the whole group of query heads.
 * Several queries count by their mean, which is the mean of their scores.
 */
const keyScoresKernel = defineKernel<KeyScoresVariant>({
  name: 'attention.keyScores',
  bindings: ({ queryDtype, keyDtype, queryVector, keyVector, keyLengths }, capabilities) => [
    { name: 'q', type: inputAccess('q', queryDtype, queryVector, capabilities).type, access: 'read' },
    { name: 'k', type: inputAccess('k', keyDtype, keyVector, capabilities).type, access: 'read' },
    ...(keyLengths ? [{ name: 'key_lengths', type: 'array<u32>', access: 'read' as const }] : []),
    { name: 'scores', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['heads', 'u32'],
    ['kvHeads', 'u32'],
    ['queries', 'u32'],
    ['keys', 'u32'],
    ['keyBound', 'u32'],
    ['forced', 'u32'],
    ['scale', 'f32'],
    ['qStart', 'u32'],
    ['qBatch', 'u32'],
    ['qHead', 'u32'],
    ['qQuery', 'u32'],
    ['kStart', 'u32'],
    ['kBatch', 'u32'],
    ['kHead', 'u32'],
    ['kKey', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const { headSize, group, per } = variant;
    const q = inputAccess('q', variant.queryDtype, variant.queryVector, capabilities);
    const k = inputAccess('k', variant.keyDtype, variant.keyVector, capabilities);
    const members = Array.from({ length: group }, (_, member) => member);
    const sums = members.map((member) => `sum${member}`);
    const store = (row: string, value: string) => `
    scores[(${row}) * params.keys + key] = select(${value} * params.scale / f32(params.queries), 3e38, newest);`;
    return {
      main: `
  let tiles = (params.keyBound + ${lanes - 1}u) / ${lanes}u;
  let key = (group % tiles) * ${lanes}u + lane;
  let pair = group / tiles;
  let batch = pair / params.kvHeads;
  let kvHead = pair % params.kvHeads;
  let length = ${variant.keyLengths ? 'min(key_lengths[batch], params.keyBound)' : 'params.keyBound'};
  if (key >= params.keyBound) { return; }
  let first = batch * params.heads + kvHead * ${group}u;
  if (key >= length) {
    ${(per === 'kvHead' ? ['pair'] : members.map((member) => `first + ${member}u`)).map((row) => `scores[(${row}) * params.keys + key] = ${LOWEST};`).join('\n    ')}
    return;
  }
  let newest = key + params.forced >= length;
  let keyAt = params.kStart + batch * params.kBatch + kvHead * params.kHead + key * params.kKey;
  let queryAt = params.qStart + batch * params.qBatch + kvHead * ${group}u * params.qHead;
  ${sums.map((sum) => `var ${sum} = 0.0;`).join('\n  ')}
  for (var quad = 0u; quad < ${Math.ceil(headSize / 4)}u; quad++) {
    let keyQuad = ${quadOfRow(k, headSize, 'keyAt + 4u * quad', 'quad')};
    for (var query = 0u; query < params.queries; query++) {
      ${members
        .map((member) => {
          const at = `queryAt + ${member}u * params.qHead + query * params.qQuery + 4u * quad`;
          return `sum${member} += dot(${quadOfRow(q, headSize, at, 'quad')}, keyQuad);`;
        })
        .join('\n      ')}
    }
  }
  ${per === 'kvHead' ? store('pair', `(${sums.join(' + ')}) / ${group}.0`) : members.map((member) => store(`first + ${member}u`, `sum${member}`)).join('')}`,
    };
  },
});

export interface KeyScoresOptions {
  readonly per: HeadGrouping;
  readonly scale: number;
  readonly keyLength: number | Tensor;
  /** Newest keys whose score is raised above every other. */
  readonly forceNewest: number;
}

/**
 * Attention scores scale q k^T before the softmax, mean over the queries: f32 [B, H, M], or [B, Hkv, M] as the mean over
 * each group's heads. Keys past the valid length are not read; up to the bound they score as low as masked ones.
 */
export function keyScores(q: Tensor, k: Tensor, options: KeyScoresOptions): Tensor {
  const { gpu } = q;
  const [batches, heads, queries, headSize] = q.shape as [number, number, number, number];
  const [, kvHeads, keys] = k.shape as [number, number, number];
  const { per, scale, keyLength, forceNewest } = options;
  const [query, key] = [stridedInput(gpu, 'topKeys', 'q', q), stridedInput(gpu, 'topKeys', 'k', k)];
  const keyBound = typeof keyLength === 'number' ? keyLength : keys;
  const rows = per === 'kvHead' ? kvHeads : heads;
  const scores = gpu.empty([batches, rows, keys]);
  const strides = ({ start, strides: steps }: StridedInput) => [start, ...steps.slice(0, 3)];
  const bindings: LaunchBinding[] = [query.range, key.range];
  if (keyLength instanceof Tensor) bindings.push(keyLength);
  gpu.launch(
    keyScoresKernel,
    {
      headSize,
      group: heads / kvHeads,
      per,
      queryDtype: q.dtype as AttentionDtype,
      keyDtype: k.dtype as AttentionDtype,
      queryVector: headSize % 4 === 0 && inQuads(query),
      keyVector: headSize % 4 === 0 && inQuads(key),
      keyLengths: keyLength instanceof Tensor,
    },
    {
      bindings: [...bindings, scores],
      parameters: [heads, kvHeads, queries, keys, keyBound, forceNewest, scale, ...strides(query), ...strides(key)],
      workgroups: batches * kvHeads * Math.ceil(keyBound / lanes),
      cost: {
        flops: 2 * batches * heads * queries * keyBound * headSize,
        bytes: 4 * batches * (kvHeads * keyBound * headSize + rows * keyBound),
      },
    },
  );
  return scores;
}
