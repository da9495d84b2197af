import type { Capabilities } from '../../device/capabilities.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { callValues, listValues } from '../call-parameters.ts';
import { CallParts } from '../call-parts.ts';
import type { AttentionShape } from '../check-inputs.ts';
import { attentionCost } from '../cost.ts';
import type { AttentionDtype } from '../elements.ts';
import type { MaskSources } from '../mask-sources.ts';
import { callBounds } from '../plan-call.ts';
import { scoreSlopeText } from '../score-modifiers.ts';
import { bindSideInputs } from '../side-inputs.ts';
import { inQuads, placeOf, stridedInput } from '../strided-input.ts';
import { trustText } from '../trust.ts';
import { commonQueryBlock, whereToLook } from '../where-to-look.ts';
import { gradientKernel } from './gradient-kernel.ts';
import { ownKeysWhere } from './listed-keys.ts';
import { subgroupLanes, subgroupRows } from './subgroup-layout.ts';
import { subgroupRowsPerLane, widestOwnedHead } from './subgroup-rows-layout.ts';
import { columnLanes, tileRowLanes, tileRowsPerLane } from './tiles-layout.ts';
import type { AttentionBackwardOptions } from './types.ts';
import type { GradientVariant } from './variant.ts';

/** A checked call. */
export interface GradientCall {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly dOut: Tensor;
  /** f32 [2, B, H, N], of `backwardRowSums`. */
  readonly rows: Tensor;
  readonly shape: AttentionShape;
  readonly sources: MaskSources;
  readonly options: AttentionBackwardOptions;
}

/** Where a launch writes. */
export interface GradientResult {
  readonly result: Tensor;
  /** Element where the second gradient (dV) begins. */
  readonly secondStart: number;
}

/** Records the kernel that owns queries (result dQ) or keys (dK and dV). Call inside `gpu.tidy`. */
export function launchGradients(own: GradientVariant['own'], call: GradientCall, into: GradientResult): void {
  const { q, k, rows, shape, sources, options } = call;
  const { gpu } = q;
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  const strided = (name: 'q' | 'k' | 'v' | 'dOut') => stridedInput(gpu, 'attentionBackward', name, call[name]);
  const [query, key, value, gradient] = [strided('q'), strided('k'), strided('v'), strided('dOut')] as const;
  const parts = new CallParts();
  const where =
    own === 'keys'
      ? ownKeysWhere(shape, options, sources, parts)
      : { ...whereToLook(shape, options, sources, parts), ranged: true, listedTile: '' };
  const score = scoreSlopeText(options.scoreModifiers, shape, parts);
  const { multipliers } = trustText(
    options.keyMultipliers ? { keyMultipliers: options.keyMultipliers } : {},
    shape,
    parts,
  );
  const counter = options.streamedRowCounter;
  const side = bindSideInputs(gpu, parts.sides, gpu.capabilities.maxStorageBuffers - (counter ? 7 : 6));
  const whole = headSize % 4 === 0;
  const quadRows = whole && [query, key, value, gradient].every(inQuads);
  const layout = layoutFor(gpu.capabilities, headSize, quadRows, own === 'keys' && sources.tokens !== undefined);
  const variant: GradientVariant = {
    own,
    ...layout,
    raggedHeadSize: whole ? 0 : headSize,
    queryDtype: q.dtype as AttentionDtype,
    keyDtype: k.dtype as AttentionDtype,
    queryVector: whole && inQuads(query),
    keyVector: whole && inQuads(key) && inQuads(value),
    gradientVector: whole && inQuads(gradient),
    counting: counter !== undefined,
    ...where,
    ...score,
    multipliers,
    functions: parts.functions,
    numbers: parts.numbers,
    inputs: side.inputs,
    packed: side.packed,
  };
  const { ownRows } = layout;
  const queryBlock = Math.min(queries, commonQueryBlock(sources) ?? queries);
  const queryTiles = Math.ceil(queries / Math.max(queryBlock, 1)) * Math.ceil(queryBlock / ownRows);
  const keyTiles = Math.ceil(keys / ownRows);
  const cost = attentionCost(shape, options, sources);
  gpu.launch(gradientKernel, variant, {
    bindings: [
      query.range,
      key.range,
      value.range,
      gradient.range,
      rows,
      ...side.bindings,
      into.result,
      ...(counter ? [counter] : []),
    ],
    parameters: [
      ...callValues(shape, options, callBounds(shape, options)),
      headSize,
      ...placeOf(query),
      ...placeOf(key),
      ...placeOf(value),
      ...placeOf(gradient),
      ...listValues(own === 'queries' ? sources.tokens?.list : undefined, shape),
      1,
      keyTiles,
      batches * heads * queries,
      into.secondStart,
      ...side.parameters,
      ...parts.values,
    ],
    workgroups: own === 'queries' ? batches * heads * queryTiles : batches * kvHeads * keyTiles,
    // Three products of the five that the two kernels share out, or four; the forward pass counts two.
    cost: { flops: (cost.flops * (own === 'queries' ? 3 : 4)) / 2, bytes: 2 * cost.bytes },
  });
}

/**
 * Where rows are bound as quads, software adapters with subgroups of eight take `subgroupRows`, and `subgroup` for wide heads and where few own rows leave more
 * to pass over; every other device takes `tiles`.
 */
function layoutFor(
  { software, subgroups, subgroupMinSize, subgroupMaxSize }: Capabilities,
  headSize: number,
  quadRows: boolean,
  scattered: boolean,
): Pick<GradientVariant, 'layout' | 'ownRows' | 'rowsPerLane' | 'cells'> {
  const quads = Math.ceil(headSize / 4);
  const eight = subgroups && subgroupMinSize === subgroupLanes && subgroupMaxSize === subgroupLanes;
  if (software && eight && quadRows) {
    if (headSize > widestOwnedHead || scattered) {
      const ownRows = subgroupRows(headSize);
      return { layout: 'subgroup', ownRows, rowsPerLane: 1, cells: Math.ceil(quads / subgroupLanes) };
    }
    const rowsPerLane = subgroupRowsPerLane(headSize);
    return { layout: 'subgroupRows', ownRows: subgroupLanes * rowsPerLane, rowsPerLane, cells: quads };
  }
  const rowLanes = tileRowLanes(headSize);
  const cells = Math.ceil(quads / columnLanes(rowLanes));
  return { layout: 'tiles', ownRows: tileRowsPerLane * rowLanes, rowsPerLane: tileRowsPerLane, cells };
}
