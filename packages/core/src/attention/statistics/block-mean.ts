import { defineKernel } from '../../kernels/kernel.ts';
import { workgroupReduction } from '../../kernels/wgsl-reduce.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { entryRange, entryRow, keyPosition, lengths, rowInterval, storageBase } from '../positions.ts';
import { range } from '../text.ts';
import { secondPassCost } from './cost.ts';
import {
  dotProducts,
  lanes,
  launchSecondPass,
  logSumExpAt,
  logSumExps,
  probability,
  queryAt,
  rowAt,
  type SecondPass,
  type SecondPassVariant,
  secondPassBindings,
  secondPassParameters,
  secondPassSource,
  seen,
} from './second-pass.ts';
import type { BlockMeanRequest } from './types.ts';

/** Queries and keys that an invocation meets at once. */
const tileQueries = 4;
const tileKeys = 4;

/**
 * One workgroup per (query block, key block). Lanes stand along the keys of the block, and where it is narrower than the
 * workgroup, in strands along the queries; their sums are joined at the end in a fixed order. Blocks that no row sees cost
 * nothing. Invariant: no lane leaves before the reduction.
 */
const blockMeanKernel = defineKernel<SecondPassVariant>({
  name: 'attention.blockMean',
  bindings: secondPassBindings,
  parameters: secondPassParameters([
    ['query_blocks', 'u32'],
    ['key_blocks', 'u32'],
    ['query_block', 'u32'],
    ['key_block', 'u32'],
    ['key_lanes', 'u32'],
    ['padded', 'u32'],
  ]),
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const queries = range(tileQueries);
    const keys = range(tileKeys);
    const main = `
  let key_tile = group % params.key_blocks;
  let query_tile = group / params.key_blocks % params.query_blocks;
  let head = group / (params.key_blocks * params.query_blocks) % params.heads;
  let batch = group / (params.key_blocks * params.query_blocks * params.heads);
  let kv_head = head / params.heads_per_kv;
  ${lengths(variant)}
  let first_query = query_tile * params.query_block;
  let queries_end = min(first_query + params.query_block, query_length);
  let last_query = max(queries_end, first_query + 1u) - 1u;
  ${entryRange(variant)}
  let first_key = key_tile * params.key_block;
  let keys_end = min(first_key + params.key_block, key_length);
  let part_end = min(end, keys_end);
  ${storageBase(variant, 'key')}
  var total = 0.0;
  let strands = ${lanes}u / params.key_lanes;
  for (var first = max(first_key, begin) + lane % params.key_lanes; first < part_end; first += params.key_lanes * ${tileKeys}u) {
    ${keys
      .map(
        (key) => `let entry_${key} = first + ${key}u * params.key_lanes;
    let row_${key} = ${entryRow(variant, `entry_${key}`)};
    let position_${key} = ${keyPosition(variant, `row_${key}`)};`,
      )
      .join('\n    ')}
    for (var walk = first_query + lane / params.key_lanes * ${tileQueries}u; walk < queries_end; walk += strands * ${tileQueries}u) {
      ${queries.map((query) => `let query_${query} = min(walk + ${query}u, last_query);${rowInterval(variant, `query_${query}`, `_${query}`)}`).join('\n      ')}
      ${dotProducts(
        variant,
        capabilities,
        queries.map((query) => queryAt('head', `query_${query}`)),
        keys.map((key) => `key_base + row_${key} * params.key_row`),
      )}
      ${queries
        .map((query) => {
          const weights = keys.map((key) => {
            const pair = {
              raw: `score_${query * tileKeys + key}`,
              key: { entry: `entry_${key}`, row: `row_${key}`, position: `position_${key}` },
              own: { query: `query_${query}`, head: 'head', suffix: `_${query}` },
            };
            const sees = `(walk + ${query}u < queries_end) & ${seen(variant, pair)}`;
            return `total += ${probability(variant, pair, `log_sum_exp_${query}`, sees)};`;
          });
          return `let log_sum_exp_${query} = ${logSumExpAt(variant, rowAt('head', `query_${query}`))};
      ${weights.join('\n      ')}`;
        })
        .join('\n      ')}
    }
  }
  let mass = join(total, lane);
  if (lane == 0u) {
    let rows = select(max(queries_end, first_query) - first_query, params.query_block, params.padded != 0u);
    let columns = select(max(keys_end, first_key) - first_key, params.key_block, params.padded != 0u);
    let pairs = f32(rows) * f32(columns);
    result[group] = select(0.0, mass / pairs, pairs > 0.0);
  }`;
    return secondPassSource(variant, main, workgroupReduction('join', lanes, 'a + b', capabilities));
  },
});

/** f32 [B, H, ceil(N / queryBlock), ceil(M / keyBlock)]: mean probability of each block. */
export function blockMean(pass: SecondPass, logSumExp: Tensor, request: BlockMeanRequest): Tensor {
  const { queryBlock, keyBlock, padded = false } = request;
  const { gpu, shape, keyBound, queryBound, columns } = pass;
  const { batches, heads, queries } = shape;
  const queryBlocks = Math.ceil(queries / queryBlock);
  const keyBlocks = Math.ceil(columns / keyBlock);
  const keyLanes = Math.min(lanes, 2 ** Math.ceil(Math.log2(Math.ceil(keyBlock / tileKeys))));
  return gpu.tidy(() => {
    const result = gpu.empty([batches, heads, queryBlocks, keyBlocks]);
    launchSecondPass(pass, blockMeanKernel, {
      variant: {},
      given: [logSumExps(logSumExp)],
      result,
      parameters: [queryBlocks, keyBlocks, queryBlock, keyBlock, keyLanes, padded ? 1 : 0],
      workgroups: result.size,
      cost: secondPassCost(shape, { heads, rows: queryBound, entries: keyBound }),
    });
    return result;
  });
}
