import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionOptions,
  type AttentionPartial,
  attention,
  attentionBackward,
  attentionByKeySet,
  attentionStatistics,
  cast,
  type Gpu,
  keySets,
  type NeighbourhoodMask,
  neighbourhoodBlocks,
  ShapeError,
  type Tensor,
  type TokenOrder,
  tokenPermute,
  tokenRows,
  tokenUnpermute,
} from '../src/index.ts';
import { countKeyRows, modestGpu, poisonRows, randomArray, sharedGpu } from '../src/testing/index.ts';

const devices = [
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const;

/** The ways in which queries are laid out; those with subgroups on the full device only. */
const plans = {
  full: [
    { layout: 'rows' },
    { layout: 'rows', access: 'staged' },
    { layout: 'features' },
    { layout: 'features', access: 'staged' },
    { layout: 'features', parts: 3 },
  ],
  modest: [{ layout: 'rows' }, { layout: 'features' }, { layout: 'features', parts: 3 }],
} as const;

interface Sizes {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
}

interface Call {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** [B, H, N, D] as a transposed view, as projections give them; `change` acts on keys and values [B, N, Hkv D]. Call inside `gpu.tidy`. */
function randomCall(
  gpu: Gpu,
  { batches, heads, kvHeads, queries, keys, headSize }: Sizes,
  change = (data: Float32Array) => data,
): Call {
  const random = (seed: number, rows: number, count: number, changed = (data: Float32Array) => data) =>
    gpu
      .tensor(changed(randomArray(batches * rows * count * headSize, seed)), [batches, rows, count, headSize])
      .transpose(0, 2, 1, 3);
  return { q: random(1, queries, heads), k: random(2, keys, kvHeads, change), v: random(3, keys, kvHeads, change) };
}

/** The same call on copies in the order of positions, and its results put back. */
function onCopies({ q, k, v }: Call, options: AttentionOptions, queries: TokenOrder, keys: TokenOrder) {
  const result = attention(tokenPermute(q, queries), tokenPermute(k, keys), tokenPermute(v, keys), options);
  const [batches, heads, rows] = (result.logSumExp as Tensor).shape as [number, number, number];
  const numbers = (result.logSumExp as Tensor).reshape([batches, heads, rows, 1]);
  return { output: tokenUnpermute(result.output, queries), logSumExp: tokenUnpermute(numbers, queries) };
}

describe.each(devices)('attention in an order of its own on the %s device', (device, open) => {
  // Behind two tokens of text and before one: each tile of 4 x 4 queries sees the 4 x 4 keys of its own block, in tiles of 2 x 2; one column is padding.
  const grid = [8, 7] as const;
  const [start, tokens] = [2, 59];
  const mask: NeighbourhoodMask = {
    ...{ kind: 'neighbourhood', grid, window: [4, 3], stride: [4, 4], others: 'seen' },
    tiles: { query: [4, 4], key: [2, 2] },
  };
  const [ofQueries, ofKeys] = [
    { grid, tile: [4, 4], start },
    { grid, tile: [2, 2], start },
  ] as const satisfies TokenOrder[];
  const sizes: Sizes = { batches: 2, heads: 4, kvHeads: 2, queries: tokens, keys: tokens, headSize: 20 };
  const blocksOf = (gpu: Gpu) => neighbourhoodBlocks(gpu, mask, { batches: 2, otherQueries: 3, otherKeys: 3 }).list;
  const tablesOf = (gpu: Gpu) => ({
    queries: tokenRows(gpu, ofQueries, { tokens }),
    keys: tokenRows(gpu, ofKeys, { tokens, padding: 'repeat' }),
  });

  it.each(plans[device])('gives what copies give, and never reads what is not listed: %o', async (plan) => {
    const gpu = await open();
    // The last tile sees the last three columns of the last four rows, and the text.
    const kept = (token: number) => {
      const at = token - start;
      return at < 0 || at >= 56 || (at % 7 >= 4 && at >= 28);
    };
    const width = sizes.kvHeads * sizes.headSize;
    const poisoned = (data: Float32Array) => poisonRows(data, [1, 2, tokens, width], (_, token) => kept(token));
    const results = gpu.tidy(() => {
      const options = { blocks: blocksOf(gpu), mask, plan, queryOffset: 0, returnLogSumExp: true };
      const call = randomCall(gpu, sizes);
      const inPlace = (given: Call) =>
        attention(given.q, given.k, given.v, { ...options, order: tablesOf(gpu) }) as AttentionPartial;
      const [copied, found] = [onCopies(call, options, ofQueries, ofKeys), inPlace(call)];
      const dirty = inPlace(randomCall(gpu, sizes, poisoned));
      return [copied.output, found.output, dirty.output, copied.logSumExp, found.logSumExp] as const;
    });
    const [expected, found, dirty, expectedSums, sums] = (await Promise.all(
      results.map((tensor) => tensor.read()),
    )) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
    for (const tensor of results) tensor.dispose();
    expect(found).toEqual(expected);
    expect(sums).toEqual(expectedSums);
    let hurt = 0;
    for (let row = 0; row < 8 * tokens; row++) {
      const of = (data: Float32Array) => data.subarray(row * 20, row * 20 + 20);
      const at = (row % tokens) - start;
      // Text sees all; where parts are merged, NaN comes out as zeros.
      if (at >= 28 && at < 56 && at % 7 >= 4) expect(of(dirty)).toEqual(of(expected));
      else hurt += Number(of(dirty).every((value, d) => value !== of(expected)[d]));
    }
    expect(hurt).toBe(8 * (tokens - 12));
  });

  it('loads as many key rows as on copies', async () => {
    const gpu = await open();
    const rowsOf = (inPlace: boolean) =>
      countKeyRows(gpu, (keyRowCounter) => {
        const { q, k, v } = randomCall(gpu, sizes);
        const options = { blocks: blocksOf(gpu), mask, queryOffset: 0, keyRowCounter };
        if (inPlace) attention(q, k, v, { ...options, order: tablesOf(gpu) });
        else onCopies({ q, k, v }, { ...options, returnLogSumExp: true }, ofQueries, ofKeys);
      });
    const rows = await rowsOf(true);
    expect(rows).toBeGreaterThan(0);
    expect(rows).toBe(await rowsOf(false));
  });

  it('takes a table for keys or for queries alone, without lists and in halves', async () => {
    const gpu = await open();
    const line: TokenOrder = { grid: [57], tile: [19], dilation: [3], start };
    const pairs = gpu.tidy(() => {
      const call = randomCall(gpu, { ...sizes, headSize: 64 });
      const [q, k, v] = [call.q, cast(call.k, 'f16'), cast(call.v, 'f16')];
      const table = tokenRows(gpu, line);
      const inPlace = (order: AttentionOptions['order']) =>
        attention(q, k, v, { causal: true, ...(order ? { order } : {}) }).output;
      const [ownKeys, ownValues] = [tokenPermute(k, line), tokenPermute(v, line)];
      return [
        [inPlace({ keys: table }), attention(q, ownKeys, ownValues, { causal: true }).output],
        [
          inPlace({ queries: table }),
          tokenUnpermute(attention(tokenPermute(q, line), k, v, { causal: true }).output, line),
        ],
        [inPlace({}), inPlace(undefined)],
      ] as const;
    });
    for (const [found, expected] of pairs) {
      expect(await found.read()).toEqual(await expected.read());
      found.dispose();
      expected.dispose();
    }
  });
});

describe('tokenRows', () => {
  it('names the token of each row, and repeats one of the tile for padding', async () => {
    const gpu = await sharedGpu();
    const order: TokenOrder = { grid: [3, 5], tile: [2, 4], dilation: [1, 2], start: 1 };
    const rows = gpu.tidy(() => tokenRows(gpu, order, { tokens: 18 }));
    const repeated = gpu.tidy(() => tokenRows(gpu, order, { tokens: 18, padding: 'repeat' }));
    // Two interleaved grids of columns 0 2 4 and 1 3, two tiles each; padding is the largest u32.
    const none = 2 ** 32 - 1;
    expect(Array.from(await rows.read())).toEqual([
      ...[1, 3, 5, none, 6, 8, 10, none],
      ...[11, 13, 15, none, none, none, none, none],
      ...[2, 4, none, none, 7, 9, none, none],
      ...[12, 14, none, none, none, none, none, none],
      ...[0, 16, 17],
    ]);
    expect(Array.from(await repeated.read())).toEqual([
      ...[1, 3, 5, 5, 6, 8, 10, 10],
      ...[11, 13, 15, 15, 11, 13, 15, 15],
      ...[2, 4, 4, 4, 7, 9, 9, 9],
      ...[12, 14, 14, 14, 12, 14, 14, 14],
      ...[0, 16, 17],
    ]);
    rows.dispose();
    repeated.dispose();
  });

  it('refuses what is no order', async () => {
    const gpu = await sharedGpu();
    const order: TokenOrder = { grid: [3, 4], tile: [2, 2], start: 2 };
    expect(() => tokenRows(gpu, { ...order, tile: [2] })).toThrow(/tile/);
    expect(() => tokenRows(gpu, order, { tokens: 13 })).toThrow(/13.*>= 14/);
    expect(() => tokenRows(gpu, order, { padding: 'nearest' as 'none' })).toThrow(ArgumentError);
  });
});

it('refuses tables that are none, and what counts rows', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const x = gpu.zeros([1, 1, 4, 8]);
    const table = gpu.tensor([3, 2, 1, 0], [4], 'u32');
    const run = (options: AttentionOptions) => () => attention(x, x, x, options);
    expect(run({ order: { keys: gpu.zeros([4]) } })).toThrow(/order\.keys.*f32.*u32/);
    expect(run({ order: { queries: table.reshape([2, 2]) } })).toThrow(ShapeError);
    const order = { queries: table, keys: table };
    const keyPositions = table.reshape([1, 1, 4]);
    expect(run({ order, keyPositions })).toThrow(/order with keyPositions/);
    expect(run({ order, normalizer: gpu.zeros([1, 1, 4]) })).toThrow(/order with normalizer/);
    expect(run({ order, keyLength: 5 })).toThrow(ArgumentError);
    const sets = keySets(gpu.zeros([1, 4], 'u32'), 1);
    const given = { order, keySets: sets };
    expect(() => attentionByKeySet(x, x, x, given)).toThrow(/attentionByKeySet: order/);
    const logSumExp = gpu.zeros([1, 1, 4]);
    const statistics = { order, logSumExp, want: { keyMass: {} } };
    expect(() => attentionStatistics(x, x, statistics)).toThrow(/attentionStatistics: order/);
    const backward = { order, logSumExp, output: x };
    expect(() => attentionBackward(x, x, x, x, backward)).toThrow(/attentionBackward: order/);
  });
});
