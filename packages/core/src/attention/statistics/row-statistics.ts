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
  /** Rows of an invocation. */
  readonly ownRows: number;
  /** Number of key sets, 0 to 8. */
  readonly sets: number;
  readonly expectation: boolean;
  readonly entropy: boolean;
}

/**
 * An invocation owns a few rows and a part of the keys: it holds the rows' sums while it walks over the keys, so that the
 * order of a sum is fixed. Few rows leave lanes over, which take further parts of the same rows.
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
    const { ownRows, sets, expectation, entropy } = variant;
    const own = range(ownRows);
    const slots = range(tileKeys);
    const channels = [
      ...range(sets).map((set) => `sum_${set}`),
      ...(expectation ? ['expectation'] : []),
      ...(entropy ? ['entropy'] : []),
    ];
    const pair = (row: number, slot: number): Pair => ({
      raw: `score_${row * tileKeys + slot}`,
      key: { entry: `(walk + ${slot}u)`, row: `key_row_${slot}`, position: `position_${slot}` },
      own: { query: `query_${row}`, head: 'head', suffix: `_${row}` },
    });
    const gather = (row: number, slot: number) => {
      const weight = `weight_${row}_${slot}`;
      return `
      let ${weight} = ${probability(variant, pair(row, slot), `log_sum_exp_${row}`, seen(variant, pair(row, slot)))};
      ${range(sets)
        .map((set) => `sum_${set}_${row} += select(0.0, ${weight}, set_${slot} == ${set}u);`)
        .join(' ')}
      ${expectation ? `expectation_${row} += ${weight} * number_${slot};` : ''}
      ${entropy ? `entropy_${row} -= ${weight} * log(max(${weight}, 1e-37));` : ''}`;
    };
    const carried = (slot: number) => `
      ${sets > 0 ? `let set_${slot} = ${sideLoad(variant, 'key_sets', `sets_at + key_${slot}`)};` : ''}
      ${expectation ? `let number_${slot} = ${sideLoad(variant, 'key_weights', `weights_at + key_${slot}`, 'f32')};` : ''}`;
    const main = `
  let part_group = group % params.part_groups;
  let row_tile = group / params.part_groups % params.row_tiles;
  let head = group / (params.part_groups * params.row_tiles) % params.heads;
  let batch = group / (params.part_groups * params.row_tiles * params.heads);
  let kv_head = head / params.heads_per_kv;
  let strands = ${lanes}u / params.row_lanes;
  let parts = params.part_groups * strands;
  let part = part_group * strands + lane / params.row_lanes;
  let first_query = row_tile * params.row_lanes * ${ownRows}u;
  let last_query = min(first_query + params.row_lanes * ${ownRows}u, params.queries) - 1u;
  let own_query = first_query + lane % params.row_lanes;
  if (own_query > last_query) { return; }
  ${lengths(variant)}
  ${entryRange(variant)}
  let chunk = (max(end, begin) - begin + parts - 1u) / parts;
  let part_size = (chunk + ${tileKeys - 1}u) / ${tileKeys}u * ${tileKeys}u;
  let part_begin = min(begin + part * part_size, max(end, begin));
  let part_end = min(end, part_begin + part_size);
  ${storageBase(variant, 'key')}
  ${own
    .map(
      (
        row,
      ) => `let query_${row} = min(own_query + ${row}u * params.row_lanes, last_query);${rowInterval(variant, `query_${row}`, `_${row}`)}
  let query_at_${row} = ${queryAt('head', `query_${row}`)};
  let log_sum_exp_${row} = ${logSumExpAt(variant, rowAt('head', `query_${row}`))};
  ${channels.map((name) => `var ${name}_${row} = 0.0;`).join(' ')}`,
    )
    .join('\n  ')}
  ${sets > 0 ? 'let sets_at = batch * params.sets_batch + head * params.sets_head;' : ''}
  ${expectation ? 'let weights_at = batch * params.weights_batch + head * params.weights_head;' : ''}
  for (var walk = part_begin; walk < part_end; walk += ${tileKeys}u) {
    ${slots.map((slot) => `let key_row_${slot} = ${entryRow(variant, `(walk + ${slot}u)`)}; let position_${slot} = ${keyPosition(variant, `key_row_${slot}`)}; let key_${slot} = ${loadRow(variant, `key_row_${slot}`)};`).join('\n    ')}
    ${dotProducts(
      variant,
      capabilities,
      own.map((row) => `query_at_${row}`),
      slots.map((slot) => `key_base + key_${slot} * params.key_row`),
    )}
    ${slots.map(carried).join('')}
    ${own.flatMap((row) => slots.map((slot) => gather(row, slot))).join('')}
  }
  let rows = params.batches * params.heads * params.queries;
  ${own
    .map((row) => {
      const stores = channels.map(
        (name, channel) => `result[(part * ${channels.length}u + ${channel}u) * rows + row] = ${name}_${row};`,
      );
      return `if (own_query + ${row}u * params.row_lanes <= last_query) { let row = ${rowAt('head', `query_${row}`)}; ${stores.join(' ')} }`;
    })
    .join('\n  ')}`;
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
  // With several rows each loaded key serves them all.
  const ownRows = queries >= 2 * lanes ? 4 : 1;
  const rowLanes = Math.min(lanes, 2 ** Math.ceil(Math.log2(queries)));
  const strands = lanes / rowLanes;
  const rowTiles = Math.ceil(queries / (rowLanes * ownRows));
  const unsplit = batches * heads * rowTiles;
  const useful = Math.max(1, Math.ceil(entries / (strands * leastKeys)));
  const partGroups = Math.min(Math.ceil(wantedWorkgroups(pass) / unsplit), useful);
  const parts = partGroups * strands;
  return gpu.tidy(() => {
    const result = gpu.empty([parts, channels, batches, heads, queries]);
    launchSecondPass(pass, rowStatisticsKernel, {
      variant: { ownRows, sets: sets?.count ?? 0, expectation: weights !== undefined, entropy },
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
