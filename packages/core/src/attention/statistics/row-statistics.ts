import { defineKernel } from '../../kernels/kernel.ts';
import { sum } from '../../ops/reduce.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { AttentionShape } from '../check-inputs.ts';
import { entryRange, entryRow, keyPosition, lengths, loadRow, rowInterval, storageBase } from '../positions.ts';
import { sideLoad } from '../side-inputs.ts';
import { range } from '../text.ts';
import { secondPassCost } from './cost.ts';
import {
  dotProducts,
  lanes,
  launchSecondPass,
  logSumExpAt,
  logSumExps,
  type Pair,
  probability,
  queryAt,
  rowAt,
  type SecondPass,
  type SecondPassVariant,
  secondPassBindings,
  secondPassParameters,
  secondPassSource,
  seen,
  wantedWorkgroups,
} from './second-pass.ts';

/** Keys that an invocation meets at once. */
const tileKeys = 4;

/** Fewest keys that are worth an invocation. */
const leastKeys = 16;

interface RowStatisticsVariant extends SecondPassVariant {
  /** Number of key sets, 0 to 8. */
  readonly sets: number;
  readonly expectation: boolean;
  readonly entropy: boolean;
}

/**
 * One invocation per row and part of the keys: it holds the row's sums while it walks over the keys, so that the order of a
 * sum is fixed. Few rows leave lanes over, which take further parts of the same rows.
 *
 * result [parts, S + 2, B, H, N], less what is not wanted: mass of each set, expectation, entropy.
 */
const rowStatisticsKernel = defineKernel<RowStatisticsVariant>({
  name: 'attention.rowStatistics',
  bindings: secondPassBindings,
  parameters: secondPassParameters([
    ['batches', 'u32'],
    ['row_lanes', 'u32'],
    ['row_tiles', 'u32'],
    ['part_groups', 'u32'],
    ['sets_batch', 'u32'],
    ['sets_head', 'u32'],
    ['weights_batch', 'u32'],
    ['weights_head', 'u32'],
  ]),
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const { sets, expectation, entropy } = variant;
    const slots = range(tileKeys);
    const channels = [
      ...range(sets).map((set) => `sum_${set}`),
      ...(expectation ? ['expectation'] : []),
      ...(entropy ? ['entropy'] : []),
    ];
    const pair = (slot: number): Pair => ({
      raw: `score_${slot}`,
      key: { entry: `(walk + ${slot}u)`, row: `row_${slot}`, position: `position_${slot}` },
      own: { query: 'own_query', head: 'head', suffix: '_row' },
    });
    const gather = (slot: number) => `
      let weight_${slot} = ${probability(variant, pair(slot), 'log_sum_exp', seen(variant, pair(slot)))};
      ${
        sets > 0
          ? `let set_${slot} = ${sideLoad(variant, 'key_sets', `sets_at + key_${slot}`)};
      ${range(sets)
        .map((set) => `sum_${set} += select(0.0, weight_${slot}, set_${slot} == ${set}u);`)
        .join(' ')}`
          : ''
      }
      ${expectation ? `expectation += weight_${slot} * ${sideLoad(variant, 'key_weights', `weights_at + key_${slot}`, 'f32')};` : ''}
      ${entropy ? `entropy -= weight_${slot} * log(max(weight_${slot}, 1e-37));` : ''}`;
    const main = `
  let part_group = group % params.part_groups;
  let row_tile = group / params.part_groups % params.row_tiles;
  let head = group / (params.part_groups * params.row_tiles) % params.heads;
  let batch = group / (params.part_groups * params.row_tiles * params.heads);
  let kv_head = head / params.heads_per_kv;
  let strands = ${lanes}u / params.row_lanes;
  let parts = params.part_groups * strands;
  let part = part_group * strands + lane / params.row_lanes;
  let first_query = row_tile * params.row_lanes;
  let last_query = min(first_query + params.row_lanes, params.queries) - 1u;
  let own_query = first_query + lane % params.row_lanes;
  if (own_query > last_query) { return; }
  ${lengths(variant)}
  ${entryRange(variant)}
  let chunk = (max(end, begin) - begin + parts - 1u) / parts;
  let part_size = (chunk + ${tileKeys - 1}u) / ${tileKeys}u * ${tileKeys}u;
  let part_begin = min(begin + part * part_size, max(end, begin));
  let part_end = min(end, part_begin + part_size);
  ${rowInterval(variant, 'own_query', '_row')}
  ${storageBase(variant, 'key')}
  let query_at = ${queryAt('head', 'own_query')};
  let log_sum_exp = ${logSumExpAt(variant, rowAt('head', 'own_query'))};
  ${sets > 0 ? 'let sets_at = batch * params.sets_batch + head * params.sets_head;' : ''}
  ${expectation ? 'let weights_at = batch * params.weights_batch + head * params.weights_head;' : ''}
  ${channels.map((name) => `var ${name} = 0.0;`).join(' ')}
  for (var walk = part_begin; walk < part_end; walk += ${tileKeys}u) {
    ${slots.map((slot) => `let row_${slot} = ${entryRow(variant, `(walk + ${slot}u)`)}; let position_${slot} = ${keyPosition(variant, `row_${slot}`)}; let key_${slot} = ${loadRow(variant, `row_${slot}`)};`).join('\n    ')}
    ${dotProducts(
      variant,
      capabilities,
      ['query_at'],
      slots.map((slot) => `key_base + key_${slot} * params.key_row`),
    )}
    ${slots.map(gather).join('')}
  }
  let row = ${rowAt('head', 'own_query')};
  let rows = params.batches * params.heads * params.queries;
  ${channels.map((name, channel) => `result[(part * ${channels.length}u + ${channel}u) * rows + row] = ${name};`).join('\n  ')}`;
    return secondPassSource(variant, main);
  },
});

/** Elements from batch entry to batch entry and from head to head of numbers that keys carry: [M], [B, M] or [B, H, M]. */
function stepsOf(numbers: Tensor | undefined, { heads }: AttentionShape): number[] {
  const columns = numbers?.shape.at(-1) ?? 0;
  return [
    [0, 0],
    [columns, 0],
    [heads * columns, columns],
  ][(numbers?.rank ?? 1) - 1] as number[];
}

export interface RowStatisticsOptions {
  /** f32 [B, H, N] */
  readonly logSumExp: Tensor;
  /** u32 ids of [M], [B, M] or [B, H, M] keys. */
  readonly sets?: { readonly sets: Tensor; readonly count: number } | undefined;
  /** f32, as the ids. */
  readonly weights?: Tensor | undefined;
  readonly entropy: boolean;
}

/** f32 [C, B, H, N]: mass of each key set, then the expectation and the entropy where wanted. */
export function rowStatistics(pass: SecondPass, options: RowStatisticsOptions): Tensor {
  const { gpu, shape, entries, queryBound } = pass;
  const { batches, heads, queries } = shape;
  const { logSumExp, sets, weights, entropy } = options;
  const channels = (sets?.count ?? 0) + (weights ? 1 : 0) + (entropy ? 1 : 0);
  const rowLanes = Math.min(lanes, 2 ** Math.ceil(Math.log2(queries)));
  const strands = lanes / rowLanes;
  const rowTiles = Math.ceil(queries / rowLanes);
  const unsplit = batches * heads * rowTiles;
  const useful = Math.max(1, Math.ceil(entries / (strands * leastKeys)));
  const partGroups = Math.min(Math.ceil(wantedWorkgroups(pass) / unsplit), useful);
  const parts = partGroups * strands;
  return gpu.tidy(() => {
    const result = gpu.empty([parts, channels, batches, heads, queries]);
    launchSecondPass(pass, rowStatisticsKernel, {
      variant: { sets: sets?.count ?? 0, expectation: weights !== undefined, entropy },
      given: [
        logSumExps(logSumExp),
        ...(sets ? [{ name: 'key_sets', type: 'u32' as const, tensor: sets.sets }] : []),
        ...(weights ? [{ name: 'key_weights', type: 'f32' as const, tensor: weights }] : []),
      ],
      result,
      parameters: [batches, rowLanes, rowTiles, partGroups, ...stepsOf(sets?.sets, shape), ...stepsOf(weights, shape)],
      workgroups: unsplit * partGroups,
      cost: secondPassCost(shape, { heads, rows: queryBound, entries }),
    });
    return sum(result, { axis: 0 });
  });
}
