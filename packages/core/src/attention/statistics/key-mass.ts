import { defineKernel } from '../../kernels/kernel.ts';
import { LOWEST } from '../../kernels/wgsl.ts';
import { sum } from '../../ops/reduce.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { entryRange, entryRow, keyPosition, lengths, loadRow, rowInterval, storageBase } from '../positions.ts';
import { sideLoad } from '../side-inputs.ts';
import { range } from '../text.ts';
import { secondPassCost } from './cost.ts';
import {
  dotProducts,
  lanes,
  launchSecondPass,
  listedColumn,
  logSumExpAt,
  logSumExps,
  type Pair,
  probability,
  queryAt,
  rowAt,
  type SecondPass,
  type SecondPassVariant,
  score,
  secondPassBindings,
  secondPassParameters,
  secondPassSource,
  seen,
  wantedWorkgroups,
} from './second-pass.ts';

/** What a key gathers from the rows that see it: the sum of their probabilities, or the mean of their scores. */
export type KeyMeasure = 'probability' | 'score';

interface KeyMassVariant extends SecondPassVariant {
  readonly measure: KeyMeasure;
  /** Query heads of one key/value head, and queries, that one loaded key row meets. */
  readonly tileHeads: number;
  readonly tileQueries: number;
  /** Keys of an invocation. */
  readonly ownKeys: number;
  /** One result for several heads, their mean, rather than one for each. */
  readonly joined: boolean;
  /** Each query has a factor. */
  readonly weighted: boolean;
  /** Results count through the entries of a list, rather than through stored rows. */
  readonly byEntry: boolean;
  /** Adds the key rows that it loads to a counter. */
  readonly counting: boolean;
}

/**
 * An invocation owns a few keys: it holds their sums while it walks over the queries, so that nothing is reduced across
 * invocations and the order of a sum is fixed. Queries that see no key of the workgroup cost nothing.
 *
 * result [B, R, parts, M], R results of heads (or joined heads): part p covers the queries [p chunk, (p + 1) chunk) of the
 * query range.
 */
const keyMassKernel = defineKernel<KeyMassVariant>({
  name: 'attention.keyMass',
  bindings: (variant, capabilities) => {
    const bindings = secondPassBindings(variant, capabilities);
    return variant.counting
      ? [...bindings, { name: 'counter', type: 'array<atomic<u32>>', access: 'read_write' }]
      : bindings;
  },
  parameters: secondPassParameters([
    ['tiles', 'u32'],
    ['parts', 'u32'],
    ['chunk', 'u32'],
    ['head_groups', 'u32'],
    ['joined_heads', 'u32'],
    ['range_begin', 'u32'],
    ['range_end', 'u32'],
    ['range_last', 'u32'],
    ['write_bound', 'u32'],
    ['forced_newest', 'u32'],
    ['forced_oldest', 'u32'],
  ]),
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const { measure, tileHeads, tileQueries, ownKeys, joined, byEntry } = variant;
    const byListedRow = variant.list && !byEntry;
    const heads = range(tileHeads);
    const queries = range(tileQueries);
    const own = range(ownKeys);
    const sums = range(joined ? 1 : tileHeads);
    const sumOf = (head: number, key: number) => `sum_${joined ? 0 : head}_${key}`;
    const pair = (head: number, query: number, key: number): Pair => ({
      raw: `score_${(head * tileQueries + query) * ownKeys + key}`,
      key: { entry: `entry_${key}`, row: `key_row_${key}`, position: `position_${key}` },
      own: { query: `query_${query}`, head: `(head + ${head}u)`, suffix: `_${query}` },
    });
    const gather = (head: number, query: number) => {
      const row = `row_${head} + query_${query}`;
      const logSumExp = `log_sum_exp_${head}_${query}`;
      const weight = variant.weighted ? ` * ${sideLoad(variant, 'query_weights', row, 'f32')}` : '';
      const gathered = (key: number) =>
        measure === 'score'
          ? `select(0.0, ${score(variant, pair(head, query, key))}, seen_${query}_${key})`
          : probability(variant, pair(head, query, key), logSumExp, `seen_${query}_${key}`);
      return `${measure === 'score' ? '' : `let ${logSumExp} = ${logSumExpAt(variant, row)};`}
      ${own.map((key) => `${sumOf(head, key)} += ${gathered(key)}${weight};`).join('\n      ')}`;
    };
    const value = (index: number, key: number) => {
      const sum = `sum_${index}_${key}`;
      if (measure === 'score') return `select(${LOWEST}, ${sum} / count_${key}, count_${key} > 0.0)`;
      return joined ? `${sum} / f32(params.joined_heads)` : sum;
    };
    const bounded =
      !variant.list && (variant.causal || variant.window || variant.rangeBegin !== '' || variant.rangeEnd !== '');
    // Queries of a tile that see other keys only are passed over.
    const skip = bounded
      ? `
      {
        let first_query = walk;
        let last_query = min(walk + ${tileQueries}u, range_end) - 1u;
        ${entryRange(variant)}
        if (first_entry >= end || first_entry + ${lanes * ownKeys}u <= begin) { continue; }
      }`
      : '';
    const count = variant.counting
      ? `
      if (lane == 0u) { atomicAdd(&counter[0], min(end, first_entry + ${lanes * ownKeys}u) - max(begin, first_entry)); }`
      : '';
    const results = joined ? 'params.head_groups' : `params.head_groups * ${tileHeads}u`;
    const store = (index: number, key: number) => {
      const row = joined ? 'head_group' : `head_group * ${tileHeads}u + ${index}u`;
      return `result[((batch * ${results} + ${row}) * params.parts + part) * ${byEntry ? 'params.write_bound' : 'params.columns'} + place_${key}] = select(${value(index, key)}, 3e38, forced_${key});`;
    };
    const main = `
  let tile = group % params.tiles;
  let part = group / params.tiles % params.parts;
  let head_group = group / (params.tiles * params.parts) % params.head_groups;
  let batch = group / (params.tiles * params.parts * params.head_groups);
  let first_entry = tile * ${lanes * ownKeys}u;
  ${own
    .map(
      (key) => `let entry_${key} = first_entry + ${key * lanes}u + lane;
  var place_${key} = ${byListedRow ? '0xffffffffu' : `entry_${key}`};
  var forced_${key} = false;
  ${measure === 'score' ? `var count_${key} = 0.0;` : ''}
  ${sums.map((index) => `var sum_${index}_${key} = 0.0;`).join(' ')}`,
    )
    .join('\n  ')}
  let heads_end = (head_group + 1u) * params.joined_heads;
  for (var head = head_group * params.joined_heads; head < heads_end; head += ${tileHeads}u) {
    let kv_head = head / params.heads_per_kv;
    ${lengths(variant)}
    let last_begin = query_length - min(params.range_last, query_length);
    let range_begin = select(params.range_begin, last_begin, params.range_last > 0u) + part * params.chunk;
    let range_end = min(min(params.range_end, query_length), range_begin + params.chunk);
    let first_query = min(range_begin, params.queries - 1u);
    let last_query = max(range_end, first_query + 1u) - 1u;
    ${entryRange(variant)}
    let part_end = end;
    ${own.map((key) => `forced_${key} = entry_${key} < end && (entry_${key} + params.forced_newest >= end || (entry_${key} >= begin && entry_${key} - begin < params.forced_oldest));`).join(' ')}
    ${byListedRow ? own.map((key) => `place_${key} = ${listedColumn(variant, `entry_${key}`)};`).join(' ') : ''}
    if (first_entry >= end || first_entry + ${lanes * ownKeys}u <= begin) { continue; }
    ${storageBase(variant, 'key')}
    ${own
      .map(
        (key) => `let key_row_${key} = ${entryRow(variant, `entry_${key}`)};
    let position_${key} = ${keyPosition(variant, `key_row_${key}`)};
    let key_at_${key} = key_base + ${loadRow(variant, `key_row_${key}`)} * params.key_row;`,
      )
      .join('\n    ')}
    ${heads.map((head) => `let row_${head} = ${rowAt(`(head + ${head}u)`, '0u')};`).join('\n    ')}
    for (var walk = range_begin; walk < range_end; walk += ${tileQueries}u) {${skip}${count}
      ${queries.map((query) => `let query_${query} = min(walk + ${query}u, last_query);${rowInterval(variant, `query_${query}`, `_${query}`)}`).join('\n      ')}
      ${dotProducts(
        variant,
        capabilities,
        heads.flatMap((head) => queries.map((query) => queryAt(`head + ${head}u`, `query_${query}`))),
        own.map((key) => `key_at_${key}`),
      )}
      ${queries
        .flatMap((query) =>
          own.map((key) => {
            const sees = `let seen_${query}_${key} = (walk + ${query}u < range_end) & ${seen(variant, pair(0, query, key))};`;
            const counts = `count_${key} += select(0.0, ${joined ? `${tileHeads}.0` : '1.0'}, seen_${query}_${key});`;
            return measure === 'score' ? `${sees} ${counts}` : sees;
          }),
        )
        .join('\n      ')}
      ${heads.flatMap((head) => queries.map((query) => gather(head, query))).join('\n      ')}
    }
  }
  ${own.map((key) => `if (place_${key} < params.write_bound) { ${sums.map((index) => store(index, key)).join(' ')} }`).join('\n  ')}`;
    return secondPassSource(variant, main);
  },
});

export interface KeyMassOptions {
  readonly measure: KeyMeasure;
  /** Query heads whose mean is one result: 1, or a divisor of H that is a multiple of the heads of a group. */
  readonly joinedHeads: number;
  /** f32 [B, H, N]; of probabilities. */
  readonly logSumExp?: Tensor | undefined;
  /** f32 [B, H, N], dense. */
  readonly queryWeights?: Tensor | undefined;
  /** Queries that count: `[begin, end)`, or the last valid ones where `last` is over 0. */
  readonly queries: { readonly begin: number; readonly end: number; readonly last: number };
  /** Queries of each part of the result; default all in one. */
  readonly chunk?: number | undefined;
  /** Keys that the result must hold: the tensor's M, or fewer where nobody reads the rest. */
  readonly writeBound: number;
  /** Newest and oldest keys of those that the queries see, which gather more than every other. Default 0. */
  readonly forceNewest?: number;
  readonly forceOldest?: number;
  /** Of lists: one result per entry, `writeBound` of them. Default: per stored row. */
  readonly byEntry?: boolean;
  /** u32 [1], to which the kernel adds every (workgroup, key) row that it loads. */
  readonly keyRowCounter?: Tensor | undefined;
}

/**
 * What each key gathers, f32 [B, R, P, M] with P parts of `chunk` queries. Keys that no row sees gather 0 (probability) or
 * the mask sentinel (score); past `writeBound` nothing is written. With `byEntry`: [B, R, P, writeBound].
 */
export function keyMass(pass: SecondPass, options: KeyMassOptions): Tensor {
  const { gpu, shape, variant, entries, listShare, columns } = pass;
  const { batches, heads, kvHeads } = shape;
  const {
    measure,
    joinedHeads,
    logSumExp,
    queryWeights,
    queries,
    writeBound,
    forceNewest = 0,
    forceOldest = 0,
    byEntry = false,
    keyRowCounter,
  } = options;
  const joined = joinedHeads > 1;
  const group = heads / kvHeads;
  const count = queries.last > 0 ? Math.min(queries.last, queries.end) : queries.end - queries.begin;
  // Few queries leave room for all heads of a group, so that a key row is loaded once for them; a predicate may differ.
  const walked = options.chunk ?? count;
  const predicate = variant.rangeSees !== '' || variant.listSees !== '';
  const share = walked * group <= 8 && listShare % group === 0 && !predicate;
  const tileHeads = share ? group : 1;
  const tileQueries = walked === 1 ? 1 : share ? Math.floor(8 / group) : 4;
  // Sixteen sums, whatever the shape: each loaded quad then serves several products.
  const ownKeys = Math.max(1, Math.min(4, Math.floor(16 / (tileHeads * tileQueries))));
  const headsAtOnce = joined ? joinedHeads : tileHeads;
  const headGroups = heads / headsAtOnce;
  const results = joined ? headGroups : heads;
  const tiles = Math.ceil((variant.list ? entries : writeBound) / (lanes * ownKeys));
  const wanted = Math.ceil(wantedWorkgroups(pass) / Math.max(batches * headGroups * tiles, 1));
  // Parts of a mean would not add up.
  const splits = measure === 'score' ? 1 : Math.max(1, Math.min(wanted, Math.ceil(count / 64)));
  const chunk = options.chunk ?? Math.max(1, Math.ceil(count / splits));
  const parts = Math.max(1, Math.ceil(count / chunk));
  return gpu.tidy(() => {
    const size = [batches, results, parts, byEntry ? writeBound : columns];
    const result = variant.list && !byEntry ? gpu.zeros(size) : gpu.empty(size);
    launchSecondPass(pass, keyMassKernel, {
      variant: {
        measure,
        tileHeads,
        tileQueries,
        ownKeys,
        joined,
        weighted: queryWeights !== undefined,
        byEntry,
        counting: keyRowCounter !== undefined,
      },
      given: [
        ...(logSumExp ? [logSumExps(logSumExp)] : []),
        ...(queryWeights ? [{ name: 'query_weights', type: 'f32' as const, tensor: queryWeights }] : []),
      ],
      result,
      ...(keyRowCounter ? { counter: keyRowCounter } : {}),
      parameters: [
        tiles,
        parts,
        chunk,
        headGroups,
        headsAtOnce,
        queries.begin,
        queries.end,
        queries.last,
        writeBound,
        forceNewest,
        forceOldest,
      ],
      workgroups: batches * headGroups * tiles * parts,
      cost: secondPassCost(shape, { heads, rows: count, entries }),
    });
    return options.chunk === undefined && parts > 1 ? sum(result, { axis: 2, keepDims: true }) : result;
  });
}
