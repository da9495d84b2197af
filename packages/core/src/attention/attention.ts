import type { LaunchBinding } from '../device/gpu.ts';
import { Tensor } from '../tensor/tensor.ts';
import { checkInputs } from './check-inputs.ts';
import { attentionCost } from './cost.ts';
import type { AttentionDtype } from './elements.ts';
import type { TileLoopVariant } from './layout.ts';
import { mergeResultParts } from './merge.ts';
import { planCall } from './plan-call.ts';
import { resultBuffer, resultViews } from './result.ts';
import { inQuads, stridedInput } from './strided-input.ts';
import { tileLoop } from './tile-loop.ts';
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
  const { keyLength = keys, queryLength = queries, tokens, slidingWindow } = options;
  const counts = tokens?.counts;
  const { plan, keyBound, queryBound, listLength, listCount, rowGroups } = planCall(gpu.capabilities, shape, options);
  const statistics = options.returnLogSumExp === true || options.returnRowMaximum === true;
  const variant: TileLoopVariant = {
    layout: plan.layout,
    access: plan.access,
    headSize,
    queryDtype: q.dtype as AttentionDtype,
    keyDtype: k.dtype as AttentionDtype,
    vector: headSize % 4 === 0 && inQuads(key) && inQuads(value),
    sharedRows: plan.layout === 'features' ? plan.sharedRows : 1,
    // A single query at the last key sees every key.
    causal:
      options.causal === true &&
      (queries > 1 || queryBound !== queries || options.queryOffset !== undefined || queryLength instanceof Tensor),
    window: slidingWindow !== undefined,
    keyLengths: keyLength instanceof Tensor,
    queryLengths: queryLength instanceof Tensor,
    list: tokens !== undefined,
    listCounts: counts instanceof Tensor,
    statistics: statistics || plan.parts > 1,
    counting: options.keyRowCounter !== undefined,
  };
  return gpu.tidy(() => {
    const result = resultBuffer(gpu, shape, plan.parts, variant.statistics);
    const bindings: LaunchBinding[] = [query.range, key.range, value.range];
    for (const tensor of [keyLength, queryLength, tokens?.indices, counts])
      if (tensor instanceof Tensor) bindings.push(tensor);
    bindings.push(result.buffer);
    if (options.keyRowCounter) bindings.push(options.keyRowCounter);
    gpu.launch(tileLoop, variant, {
      bindings,
      parameters: [
        batches,
        heads,
        heads / kvHeads,
        queries,
        queryBound,
        keyBound,
        headSize,
        Math.ceil(headSize / 4),
        options.scale ?? 1 / Math.sqrt(headSize),
        slidingWindow ?? 0,
        options.queryOffset ?? 0,
        options.queryOffset === undefined ? 0 : 1,
        ...[query, key, value].flatMap(({ start, strides }) => [start, ...strides.slice(0, 3)]),
        0,
        8,
        plan.sharedHeads,
        listLength,
        listCount,
        tokens?.per === 'kvHead' ? kvHeads : heads,
        tokens?.per === 'kvHead' ? heads / kvHeads : 1,
        plan.launchedParts,
        result.logSumExpStart,
        result.rowMaximumStart,
      ],
      workgroups: batches * rowGroups * plan.launchedParts,
      cost: attentionCost(shape, options),
    });
    const merged =
      plan.parts > 1 ? mergeResultParts(result, plan.launchedParts, shape, statistics ? 'all' : 'none') : result;
    return resultViews(merged, shape, {
      logSumExp: options.returnLogSumExp ?? false,
      rowMaximum: options.returnRowMaximum ?? false,
    });
  });
}
