import type { Tensor } from '../tensor/tensor.ts';
import { callValues, listValues } from './call-parameters.ts';
import { CallParts } from './call-parts.ts';
import type { AttentionShape } from './check-inputs.ts';
import { attentionCost } from './cost.ts';
import type { AttentionDtype, RowDtype } from './elements.ts';
import { type KeySets, keySetInputs } from './key-sets.ts';
import type { TileLoopVariant } from './layout.ts';
import type { MaskSources } from './mask-sources.ts';
import { orderInputs } from './order.ts';
import { type KeyRows, rowInput } from './paged/paged-rows.ts';
import type { CallPlan } from './plan-call.ts';
import { type ResultBuffer, resultBuffer, storedShape } from './result.ts';
import { scoreText } from './score-modifiers.ts';
import { bindSideInputs } from './side-inputs.ts';
import { inQuads, placeOf, stridedInput } from './strided-input.ts';
import { tileLoop } from './tile-loop.ts';
import { trustText } from './trust.ts';
import type { AttentionOptions } from './types.ts';
import { whereToLook } from './where-to-look.ts';

/** A checked and planned call. */
export interface TileLoopCall {
  readonly shape: AttentionShape;
  readonly sources: MaskSources;
  readonly call: CallPlan;
  readonly options: AttentionOptions;
  /** Whether log-sum-exps and row maxima are written. */
  readonly statistics: boolean;
  /** Parts are sets of keys, rather than pieces of the range. */
  readonly keySets?: KeySets | undefined;
}

/** Records the tile loop of a call; the result has a region for each part. Call inside `gpu.tidy`. */
export function launchTileLoop(
  q: Tensor,
  k: KeyRows,
  v: KeyRows,
  { shape, sources, call, options, statistics, keySets }: TileLoopCall,
): ResultBuffer {
  const { gpu } = q;
  const { batches, headSize } = shape;
  const { plan, rowGroups } = call;
  const { keyRowCounter } = options;
  const counting = keyRowCounter !== undefined;
  const parts = new CallParts();
  const [query, key, value] = [
    stridedInput(gpu, 'attention', 'q', q),
    rowInput('attention', 'k', k, parts),
    rowInput('attention', 'v', v, parts),
  ] as const;
  const where = whereToLook(shape, options, sources, parts);
  const score = scoreText(options.scoreModifiers, shape, parts);
  const trust = trustText(options, shape, parts);
  const sets = keySets ? keySetInputs(keySets, where, parts) : where;
  const order = orderInputs(options.order, q.shape[2] as number, parts);
  const result = resultBuffer(gpu, storedShape(shape, q), plan.parts, statistics);
  const side = bindSideInputs(gpu, parts.sides, gpu.capabilities.maxStorageBuffers - (counting ? 5 : 4));
  const variant: TileLoopVariant = {
    layout: plan.layout,
    access: plan.access,
    headSize,
    queryDtype: q.dtype as AttentionDtype,
    keyDtype: k.dtype as RowDtype,
    vector: headSize % 4 === 0 && inQuads(key) && inQuads(value),
    sharedRows: plan.layout === 'rows' && plan.access === 'staged' ? 1 : plan.sharedRows,
    statistics,
    counting,
    ...sets,
    ...order,
    ...score,
    ...trust,
    functions: parts.functions,
    numbers: parts.numbers,
    inputs: side.inputs,
    packed: side.packed,
  };
  const bindings = [query.range, key.range, value.range, ...side.bindings, result.buffer];
  if (keyRowCounter) bindings.push(keyRowCounter);
  gpu.launch(tileLoop, variant, {
    bindings,
    parameters: [
      ...callValues(shape, options, call),
      batches,
      headSize,
      ...placeOf(query),
      ...placeOf(key),
      ...placeOf(value),
      0,
      8,
      plan.sharedHeads,
      ...listValues(sources.tokens?.list, shape),
      plan.launchedParts,
      result.logSumExpStart,
      result.rowMaximumStart,
      ...side.parameters,
      ...parts.values,
    ],
    workgroups: batches * rowGroups * plan.launchedParts,
    cost: attentionCost(shape, options, sources),
  });
  return result;
}
