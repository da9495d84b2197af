import type { Tensor } from '../tensor/tensor.ts';
import { CallParts } from './call-parts.ts';
import { checkInputs, checkLists } from './check-inputs.ts';
import { attentionCost } from './cost.ts';
import type { AttentionDtype } from './elements.ts';
import type { TileLoopVariant } from './layout.ts';
import { mergeResultParts } from './merge.ts';
import { planCall } from './plan-call.ts';
import { resultBuffer, resultViews } from './result.ts';
import { scoreText } from './score-modifiers.ts';
import { bindSideInputs } from './side-inputs.ts';
import { inQuads, placeOf, stridedInput } from './strided-input.ts';
import { tileLoop } from './tile-loop.ts';
import { trustText } from './trust.ts';
import type { AttentionOptions, AttentionResult } from './types.ts';
import { callSources, listEntries, listPlaces, whereToLook } from './where-to-look.ts';

/**
 * Exact attention, softmax(scale q k^T) v, over the keys that the options select; no score matrix is ever stored.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]; query head h reads key/value head floor(h Hkv / H). May be a cache's whole
 *   capacity, with `keyLength` saying how much of it counts. With `keyStarts` [rows, D].
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
  const sources = callSources(options);
  checkLists('attention', sources, shape);
  const { plan, keyBound, queryBound, rowGroups } = planCall(gpu.capabilities, shape, options, sources);
  const { queryOffset, tokens } = { queryOffset: options.queryOffset, tokens: sources.tokens?.list };
  const list = tokens ? { ...listEntries(tokens), ...listPlaces(tokens, shape) } : noList;
  const statistics = options.returnLogSumExp === true || options.returnRowMaximum === true;
  const counting = options.keyRowCounter !== undefined;
  const writesStatistics = statistics || plan.parts > 1;
  return gpu.tidy(() => {
    const parts = new CallParts();
    const where = whereToLook(shape, options, sources, parts);
    const score = scoreText(options.scoreModifiers, shape, parts);
    const trust = trustText(options, shape, parts);
    const result = resultBuffer(gpu, shape, plan.parts, writesStatistics);
    const side = bindSideInputs(gpu, parts.sides, gpu.capabilities.maxStorageBuffers - (counting ? 5 : 4));
    const variant: TileLoopVariant = {
      layout: plan.layout,
      access: plan.access,
      headSize,
      queryDtype: q.dtype as AttentionDtype,
      keyDtype: k.dtype as AttentionDtype,
      vector: headSize % 4 === 0 && inQuads(key) && inQuads(value),
      sharedRows: plan.layout === 'features' ? plan.sharedRows : 1,
      statistics: writesStatistics,
      counting,
      ...where,
      ...score,
      ...trust,
      functions: parts.functions,
      numbers: parts.numbers,
      inputs: side.inputs,
      packed: side.packed,
    };
    const bindings = [query.range, key.range, value.range, ...side.bindings, result.buffer];
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
        options.slidingWindow ?? 0,
        typeof queryOffset === 'number' ? queryOffset : 0,
        typeof queryOffset === 'number' ? 1 : 0,
        ...placeOf(query),
        ...placeOf(key),
        keys,
        ...placeOf(value),
        0,
        8,
        plan.sharedHeads,
        list.length,
        list.count,
        list.heads,
        list.share,
        plan.launchedParts,
        result.logSumExpStart,
        result.rowMaximumStart,
        ...side.parameters,
        ...parts.values,
      ],
      workgroups: batches * rowGroups * plan.launchedParts,
      cost: attentionCost(shape, options, sources),
    });
    const merged =
      plan.parts > 1
        ? mergeResultParts(result, plan.launchedParts, shape, {
            statistics: statistics ? 'all' : 'none',
            normalised: trust.normalizer,
          })
        : result;
    return resultViews(merged, shape, {
      logSumExp: options.returnLogSumExp ?? false,
      rowMaximum: options.returnRowMaximum ?? false,
    });
  });
}

const noList = { length: 0, count: 0, heads: 1, share: 1 };
