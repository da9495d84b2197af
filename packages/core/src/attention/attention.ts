import type { LaunchBinding } from '../device/gpu.ts';
import { Tensor } from '../tensor/tensor.ts';
import { checkInputs } from './check-inputs.ts';
import type { AttentionDtype } from './elements.ts';
import { resultBuffer, resultViews } from './result.ts';
import { inQuads, stridedInput } from './strided-input.ts';
import { layoutOf, tileLoop } from './tile-loop.ts';
import type { AttentionOptions, AttentionResult } from './types.ts';

/**
 * Exact attention, softmax(scale q k^T) v, over the keys that the options select; no score matrix is ever stored.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]; query head h reads key/value head floor(h Hkv / H). May be a cache's whole
 *   capacity, with `keyLength` saying how much of it counts.
 * @param v as `k`
 *
 * All three may be strided views whose last axis is dense. Rows that see no key give zeros.
 * @throws ShapeError, ArgumentError, LimitError
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): AttentionResult {
  const gpu = q.gpu;
  const shape = checkInputs(q, k, v, options);
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  const inputs = [
    stridedInput(gpu, 'attention', 'q', q),
    stridedInput(gpu, 'attention', 'k', k),
    stridedInput(gpu, 'attention', 'v', v),
  ] as const;
  const [query, key, value] = inputs;
  const { keyLength = keys, queryLength = queries, tokens } = options;
  const counts = tokens?.counts;
  const listLength = tokens ? (tokens.indices.shape[2] as number) : 0;
  const variant = {
    layout: 'rows',
    access: 'staged',
    headSize,
    queryDtype: q.dtype as AttentionDtype,
    keyDtype: k.dtype as AttentionDtype,
    vector: headSize % 4 === 0 && inQuads(key) && inQuads(value),
    sharedRows: 1,
    causal: options.causal ?? false,
    window: options.slidingWindow !== undefined,
    keyLengths: keyLength instanceof Tensor,
    queryLengths: queryLength instanceof Tensor,
    list: tokens !== undefined,
    listCounts: counts instanceof Tensor,
    statistics: options.returnLogSumExp === true || options.returnRowMaximum === true,
    counting: options.keyRowCounter !== undefined,
  } as const;
  return gpu.tidy(() => {
    const parts = 1;
    const result = resultBuffer(gpu, shape, parts, variant.statistics);
    const bindings: LaunchBinding[] = [query.range, key.range, value.range];
    for (const tensor of [keyLength, queryLength, tokens?.indices, counts])
      if (tensor instanceof Tensor) bindings.push(tensor);
    bindings.push(result.buffer);
    if (options.keyRowCounter) bindings.push(options.keyRowCounter);
    const layout = layoutOf(variant)(variant, gpu.capabilities);
    const keyBound = typeof keyLength === 'number' ? keyLength : keys;
    const seen = tokens ? Math.min(listLength, keyBound) : keyBound;
    const queryBound = typeof queryLength === 'number' ? queryLength : queries;
    gpu.launch(tileLoop, variant, {
      bindings,
      parameters: [
        batches,
        heads,
        heads / kvHeads,
        queries,
        queryBound,
        keyBound,
        Math.ceil(headSize / 4),
        options.scale ?? 1 / Math.sqrt(headSize),
        options.slidingWindow ?? 0,
        options.queryOffset ?? 0,
        options.queryOffset === undefined ? 0 : 1,
        ...[query, key, value].flatMap(({ start, strides }) => [start, ...strides.slice(0, 3)]),
        listLength,
        typeof counts === 'number' ? Math.min(counts, listLength) : listLength,
        tokens?.per === 'kvHead' ? kvHeads : heads,
        tokens?.per === 'kvHead' ? heads / kvHeads : 1,
        parts,
        result.logSumExpStart,
        result.rowMaximumStart,
      ],
      workgroups: batches * heads * Math.ceil(queries / layout.queryRows) * parts,
      cost: { flops: 4 * batches * heads * queryBound * seen * headSize, bytes: 0 },
    });
    return resultViews(result, shape, {
      logSumExp: options.returnLogSumExp ?? false,
      rowMaximum: options.returnRowMaximum ?? false,
    });
  });
}
