import { describe, expect, it } from 'vitest';
import * as differentiable from '../src/autodiff/index.ts';
import { valueAndGrad } from '../src/autodiff/index.ts';
import {
  ArgumentError,
  attention,
  attentionBackward,
  cast,
  type Gpu,
  type NeighbourhoodMask,
  neighbourhoodAxisTiles,
  neighbourhoodBlocks,
  ShapeError,
  type Tensor,
  type TokenOrder,
  tokenPermute,
  tokenUnpermute,
} from '../src/index.ts';
import {
  assertClose,
  attentionBackwardReference,
  attentionReference,
  countKeyRows,
  maskReference,
  modestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

const devices = [
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const;

/** The token in each row of an order, by definition: -1 for padding. */
function orderReference({ grid, tile, dilation = grid.map(() => 1), start = 0 }: TokenOrder, tokens: number): number[] {
  const places = (sizes: readonly number[]): number[][] =>
    sizes.reduce<number[][]>(
      (all, size) => all.flatMap((at) => Array.from({ length: size }, (_, i) => [...at, i])),
      [[]],
    );
  const tiles = grid.map((size, axis) => Math.ceil(size / ((tile[axis] as number) * (dilation[axis] as number))));
  const rows = places(dilation).flatMap((group) =>
    places(tiles).flatMap((at) =>
      places(tile).map((within) => {
        const place = grid.map(
          (_, axis) =>
            ((at[axis] as number) * (tile[axis] as number) + (within[axis] as number)) * (dilation[axis] as number) +
            (group[axis] as number),
        );
        if (place.some((value, axis) => value >= (grid[axis] as number))) return -1;
        return start + place.reduce((total, value, axis) => total * (grid[axis] as number) + value, 0);
      }),
    ),
  );
  const gridTokens = grid.reduce((total, size) => total * size, 1);
  const others = Array.from({ length: tokens - gridTokens }, (_, at) => (at < start ? at : at + gridTokens));
  return [...rows, ...others];
}

const orders: readonly [string, TokenOrder, number][] = [
  ['a line', { grid: [23], tile: [4] }, 23],
  ['a line with a dilation and tokens around it', { grid: [23], tile: [4], dilation: [3], start: 2 }, 29],
  ['a plane', { grid: [7, 9], tile: [4, 4] }, 63],
  ['a plane behind a text', { grid: [7, 9], tile: [2, 4], dilation: [2, 1], start: 5 }, 68],
  ['a volume', { grid: [3, 4, 5], tile: [2, 2, 3] }, 60],
  ['a volume with dilations before a text', { grid: [3, 6, 7], tile: [2, 2, 2], dilation: [1, 2, 3] }, 130],
];

describe.each(devices)('tokenPermute on the %s device', (_, open) => {
  it.each(orders)('orders %s, and tokenUnpermute puts it back', async (_, order, tokens) => {
    const gpu = await open();
    for (const headSize of [8, 3]) {
      const data = randomArray(2 * 3 * tokens * headSize, 7);
      const [rows, back] = gpu.tidy(() => {
        // A transposed view, as projections give them.
        const x = gpu.tensor(data, [2, tokens, 3, headSize]).transpose(0, 2, 1, 3);
        const permuted = tokenPermute(x, order);
        const again = tokenUnpermute(permuted, order).transpose(0, 2, 1, 3);
        expect(again.contiguous).toBe(true);
        return [permuted, again] as const;
      });
      expect(Array.from(await back.read())).toEqual(Array.from(data));
      const expected = orderReference(order, tokens);
      expect(rows.shape).toEqual([2, 3, expected.length, headSize]);
      const found = await rows.read();
      for (let head = 0; head < 6; head++) {
        const [batch, own] = [Math.floor(head / 3), head % 3];
        expected.forEach((token, row) => {
          const at = (head * expected.length + row) * headSize;
          const from = ((batch * tokens + token) * 3 + own) * headSize;
          const value = token < 0 ? new Array(headSize).fill(0) : Array.from(data.subarray(from, from + headSize));
          expect(Array.from(found.subarray(at, at + headSize))).toEqual(value);
        });
      }
      rows.dispose();
      back.dispose();
    }
  });

  it.each([8, 6, 5])('moves halves of head size %i as bits', async (headSize) => {
    const gpu = await open();
    const order = { grid: [3, 5], tile: [2, 2] };
    const data = randomArray(15 * headSize, 5);
    const result = gpu.tidy(() => {
      const x = cast(gpu.tensor(data, [1, 1, 15, headSize]), 'f16');
      return cast(tokenUnpermute(tokenPermute(x, order), order), 'f32');
    });
    assertClose(await result.read(), data, { absolute: 1e-3 });
    result.dispose();
  });
});

describe('tokenPermute', () => {
  it('has a gradient, and so has its inverse', async () => {
    const gpu = await sharedGpu();
    const order = { grid: [3, 5], tile: [2, 4], dilation: [1, 1], start: 1 };
    const rows = orderReference(order, 17).length;
    const weights = randomArray(rows * 4, 1);
    const x = gpu.tensor(randomArray(17 * 4, 2), [1, 1, 17, 4]);
    const { value, gradients } = valueAndGrad((tokens) => {
      const moved = differentiable.tokenPermute(tokens, order);
      // There and back once more: the inverse's gradient is the order itself.
      const again = differentiable.tokenPermute(differentiable.tokenUnpermute(moved, order), order);
      return differentiable.sum(differentiable.multiply(again, gpu.tensor(weights, [1, 1, rows, 4])));
    }, x);
    const [gradient] = gradients;
    const expected = new Float32Array(17 * 4);
    orderReference(order, 17).forEach((token, row) => {
      if (token >= 0) expected.set(weights.subarray(row * 4, row * 4 + 4), token * 4);
    });
    expect(Array.from(await gradient.read())).toEqual(Array.from(expected));
    for (const tensor of [x, value, gradient]) tensor.dispose();
  });

  it('refuses what is no order', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const x = gpu.zeros([1, 1, 12, 4]);
      expect(() => tokenPermute(x, { grid: [3, 4], tile: [2] })).toThrow(ArgumentError);
      expect(() => tokenPermute(x, { grid: [3, 4], tile: [2, 0] })).toThrow(/tile/);
      expect(() => tokenPermute(x, { grid: [3, 5], tile: [2, 2] })).toThrow(ShapeError);
      expect(() => tokenPermute(x, { grid: [3, 4], tile: [2, 2], start: 1 })).toThrow(ShapeError);
      expect(() => tokenPermute(x, { grid: [1, 1, 3, 4], tile: [1, 1, 1, 1] })).toThrow(/1 to 3 axes/);
      expect(() => tokenUnpermute(x, { grid: [3, 4], tile: [2, 3] })).toThrow(/fewer/);
      expect(() => tokenPermute(x.reshape([12, 4]), { grid: [12], tile: [4] })).toThrow(ShapeError);
    });
  });
});

interface Layout {
  readonly mask: NeighbourhoodMask & Required<Pick<NeighbourhoodMask, 'tiles'>>;
  /** Tokens beside the grid, behind it. */
  readonly others: number;
}

const neighbourhood = (mask: Omit<Layout['mask'], 'kind'>, others = 0): Layout => ({
  mask: { kind: 'neighbourhood', ...mask },
  others,
});

const layouts: readonly [string, Layout][] = [
  ['a line', neighbourhood({ grid: [50], window: [13], stride: [4], tiles: { query: [8], key: [4] } })],
  [
    'a causal line',
    neighbourhood({ grid: [50], window: [13], stride: [4], causal: [true], tiles: { query: [8], key: [4] } }),
  ],
  ['a ragged plane', neighbourhood({ grid: [7, 9], window: [3, 4], tiles: { query: [4, 4], key: [2, 4] } })],
  [
    'a plane with strides, dilations and causality',
    neighbourhood({
      ...{ grid: [9, 11], window: [3, 4], stride: [2, 3], dilation: [2, 2], causal: [false, true] },
      tiles: { query: [2, 4], key: [2, 2] },
    }),
  ],
  [
    'a plane beside a text',
    neighbourhood(
      { grid: [7, 9], window: [4, 6], stride: [2, 2], others: 'seen', tiles: { query: [4, 4], key: [2, 2] } },
      5,
    ),
  ],
  [
    'a volume',
    neighbourhood({
      grid: [4, 6, 5],
      window: [2, 5, 3],
      stride: [1, 5, 2],
      tiles: { query: [2, 2, 4], key: [1, 2, 4] },
    }),
  ],
];

/** The mask over tokens in their own order, and how the two sides stand. */
function sides({ mask, others }: Layout) {
  const { tiles, ...rowMajor } = mask;
  const dilation = mask.dilation ? { dilation: mask.dilation } : {};
  const tokens = mask.grid.reduce((total, size) => total * size, 1) + others;
  return {
    ...{ rowMajor, tokens },
    query: { grid: mask.grid, tile: tiles.query, ...dilation },
    key: { grid: mask.grid, tile: tiles.key, ...dilation },
  };
}

const sizes = { batches: 2, heads: 2, kvHeads: 1, headSize: 16 };

/** Output and gradients tile by tile, back in the order of tokens. `blocks`: by lists, with the mask where some block is partial. */
function tiled(gpu: Gpu, layout: Layout, data: readonly Float32Array[], keyRowCounter?: Tensor) {
  const { mask, others } = layout;
  const { query, key, tokens } = sides(layout);
  const [q, k, v, dOut] = data.map((values, at) =>
    gpu.tensor(values, [sizes.batches, at === 1 || at === 2 ? sizes.kvHeads : sizes.heads, tokens, sizes.headSize]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const { list } = neighbourhoodBlocks(gpu, mask, { batches: sizes.batches, otherQueries: others, otherKeys: others });
  const where = { blocks: list, mask, queryOffset: 0 };
  const [ownQ, ownK, ownV] = [tokenPermute(q, query), tokenPermute(k, key), tokenPermute(v, key)] as const;
  const { output, logSumExp } = attention(ownQ, ownK, ownV, {
    ...where,
    returnLogSumExp: true,
    ...(keyRowCounter ? { keyRowCounter } : {}),
  });
  const { dq, dk, dv } = attentionBackward(tokenPermute(dOut, query), ownQ, ownK, ownV, {
    ...{ ...where, output },
    logSumExp: logSumExp as Tensor,
  });
  return {
    output: tokenUnpermute(output, query),
    dq: tokenUnpermute(dq, query),
    dk: tokenUnpermute(dk, key),
    dv: tokenUnpermute(dv, key),
  };
}

function randomData({ mask, others }: Layout) {
  const { tokens } = sides({ mask, others });
  const { batches, heads, kvHeads, headSize } = sizes;
  const many = (count: number, seed: number) => randomArray(batches * count * tokens * headSize, seed, { scale: 2 });
  return [many(heads, 1), many(kvHeads, 2), many(kvHeads, 3), many(heads, 4)] as const;
}

describe.each([
  ['full', sharedGpu, layouts],
  // Kernels compile slowly: one layout with everything but dilations.
  ['modest', modestGpu, layouts.filter(([name]) => name === 'a plane beside a text')],
] as const)('neighbourhoods tile by tile on the %s device', (_, open, own) => {
  it.each(own)('output and gradients of %s equal those of the mask in row-major order', async (_, layout) => {
    const gpu = await open();
    const { rowMajor, tokens } = sides(layout);
    const [q, k, v, dOut] = randomData(layout);
    const { readbacks } = gpu.stats();
    const found = gpu.tidy(() => tiled(gpu, layout, [q, k, v, dOut]));
    expect(gpu.stats().readbacks).toBe(readbacks);
    const input = { ...sizes, queries: tokens, keys: tokens, q, k, v, mask: rowMajor };
    const expected = { ...attentionReference(input), ...attentionBackwardReference(dOut, input) };
    for (const name of ['output', 'dq', 'dk', 'dv'] as const) {
      const tensor = found[name];
      assertClose(await tensor.read(), expected[name], { absolute: 5e-5, relative: 1e-4, name });
      tensor.dispose();
    }
  });
});

describe('neighbourhoodBlocks', () => {
  it.each(layouts)('of %s: the blocks with a visible pair, full ones first', async (_, { mask, others }) => {
    const gpu = await sharedGpu();
    const { query, key, tokens } = sides({ mask, others });
    const [queryRows, keyRows] = [orderReference(query, tokens), orderReference(key, tokens)];
    const found = neighbourhoodBlocks(gpu, mask, { batches: 2, otherQueries: others, otherKeys: others });
    const { queryBlock, keyBlock, indices, counts, full } = found.list;
    const [queryBlocks, keyBlocks] = [Math.ceil(queryRows.length / queryBlock), Math.ceil(keyRows.length / keyBlock)];
    expect(indices.shape.slice(0, 3)).toEqual([2, 1, queryBlocks]);
    const width = indices.shape[3] as number;
    const [entries, held, whole] = (await gpu.read([indices, counts, full as Tensor])) as Uint32Array[];
    let [listed, partial] = [0, 0];
    for (let block = 0; block < queryBlocks; block++) {
      const expected = { full: [] as number[], partial: [] as number[] };
      for (let other = 0; other < keyBlocks; other++) {
        let [seen, hidden] = [0, 0];
        for (let row = block * queryBlock; row < Math.min((block + 1) * queryBlock, queryRows.length); row++) {
          if (queryRows[row] === -1) continue;
          for (let at = other * keyBlock; at < Math.min((other + 1) * keyBlock, keyRows.length); at++) {
            const pair = { batch: 0, head: 0, query: row, queryPosition: row, keyPosition: at };
            if (maskReference(mask, pair, at, { ...sizes, queries: tokens })) seen++;
            else hidden++;
          }
        }
        if (seen > 0) expected[hidden === 0 ? 'full' : 'partial'].push(other);
      }
      for (const batch of [0, 1]) {
        const at = batch * queryBlocks + block;
        const count = held?.[at] as number;
        const fulls = whole?.[at] as number;
        const list = Array.from((entries as Uint32Array).subarray(at * width, at * width + count));
        const ascending = (values: readonly number[]) => [...values].sort((a, b) => a - b);
        expect(ascending(list.slice(0, fulls))).toEqual(expected.full);
        expect(ascending(list.slice(fulls))).toEqual(expected.partial);
      }
      listed += expected.full.length + expected.partial.length;
      partial += expected.partial.length;
    }
    expect([found.listed, found.partial]).toEqual([listed, partial]);
    for (const tensor of [indices, counts, full]) tensor.dispose();
  });

  it('keys outside the listed tiles are never read, and no others counted', async () => {
    const gpu = await sharedGpu();
    // Windows of 8 keys in steps of 8: each tile of queries sees two tiles of keys whole.
    const layout = neighbourhood({
      grid: [16, 16],
      window: [8, 8],
      stride: [8, 8],
      tiles: { query: [8, 8], key: [4, 8] },
    });
    const [q, k, v, dOut] = randomData(layout);
    const { list, listed, partial } = neighbourhoodBlocks(gpu, layout.mask, { batches: 2 });
    expect([listed, partial, list.full.shape]).toEqual([8, 0, [2, 1, 4]]);
    // The first quadrant of queries sees the first quadrant of keys: poison the rest.
    const inQuadrant = (token: number) => token % 16 < 8 && token < 128;
    const poisoned = (data: Float32Array) => poisonRows(data, [2, 1, 256, 16], (_, token) => inQuadrant(token));
    const outputs = [k, poisoned(k)].map((keys, at) => {
      const values = at === 0 ? v : poisoned(v);
      return gpu.tidy(() => tiled(gpu, layout, [q, keys, values, dOut]).output);
    });
    const [clean, dirty] = (await Promise.all(outputs.map((output) => output.read()))) as [Float32Array, Float32Array];
    let [same, spoiled] = [0, 0];
    for (let at = 0; at < clean.length; at++) {
      const token = Math.floor(at / 16) % 256;
      if (!inQuadrant(token)) spoiled += Number(Number.isNaN(dirty[at]));
      else same += Number(Object.is(clean[at], dirty[at]));
    }
    expect([same, spoiled]).toEqual([clean.length / 4, (3 * clean.length) / 4]);
    const counted = await countKeyRows(gpu, (counter) => tiled(gpu, layout, [q, k, v, dOut], counter));
    // Each workgroup reads the keys of its block's list once.
    const groups = counted / (2 * 4 * 64);
    expect(Number.isInteger(groups) && groups >= 1 && groups <= 128).toBe(true);
    for (const tensor of [list.indices, list.counts, list.full, ...outputs]) tensor.dispose();
  });

  it('of full blocks, the mask is not asked', async () => {
    const gpu = await sharedGpu();
    const tiles = { query: [8], key: [8] };
    const mask: NeighbourhoodMask = { kind: 'neighbourhood', grid: [32], window: [8], stride: [8], tiles };
    const [q, k, v] = [1, 2, 3].map((seed) => randomArray(32 * 16, seed)) as [Float32Array, Float32Array, Float32Array];
    // Lists that name every block: where the promise says so, hidden keys count too.
    const run = (full: number) =>
      gpu.tidy(() => {
        const indices = gpu.tensor([0, 1, 2, 3, 1, 0, 2, 3, 2, 0, 1, 3, 3, 0, 1, 2], [1, 1, 4, 4], 'u32');
        const blocks = { indices, full, queryBlock: 8, keyBlock: 8, per: 'kvHead' } as const;
        const [queries, keys, values] = [q, k, v].map((data) => gpu.tensor(data, [1, 1, 32, 16])) as [
          Tensor,
          Tensor,
          Tensor,
        ];
        return attention(queries, keys, values, { blocks, mask }).output;
      });
    const input = { batches: 1, heads: 1, kvHeads: 1, queries: 32, keys: 32, headSize: 16, q, k, v };
    const { tiles: _, ...rowMajor } = mask;
    for (const [full, expected] of [
      [0, attentionReference({ ...input, mask: rowMajor })],
      [1, attentionReference({ ...input, mask: rowMajor })],
      [4, attentionReference(input)],
    ] as const) {
      const output = run(full);
      assertClose(await output.read(), expected.output, { absolute: 1e-5, relative: 1e-4 });
      output.dispose();
    }
  });

  it('tiles of an axis by hand', () => {
    expect(neighbourhoodAxisTiles(8, { window: 4, stride: 4, queryTile: 4, keyTile: 2 })).toEqual([
      { firstKey: 0, lastKey: 4, begin: 0, end: 2, fullBegin: 0, fullEnd: 2 },
      { firstKey: 4, lastKey: 8, begin: 2, end: 4, fullBegin: 2, fullEnd: 4 },
    ]);
    // Windows of queries 0 to 3 start at 0, 0, 1, 2; of 4 to 7 at 3, 4, 5, 5 and end at 8.
    expect(neighbourhoodAxisTiles(8, { window: 3, queryTile: 4, keyTile: 2 })).toEqual([
      { firstKey: 0, lastKey: 5, begin: 0, end: 3, fullBegin: 1, fullEnd: 1 },
      { firstKey: 3, lastKey: 8, begin: 1, end: 4, fullBegin: 3, fullEnd: 3 },
    ]);
  });

  it('refuses a mask without tiles, and one that starts elsewhere', async () => {
    const gpu = await sharedGpu();
    const mask: NeighbourhoodMask = { kind: 'neighbourhood', grid: [8], window: [3] };
    expect(() => neighbourhoodBlocks(gpu, mask, { batches: 1 })).toThrow(ArgumentError);
    const tiles = { query: [4], key: [4] };
    expect(() => neighbourhoodBlocks(gpu, { ...mask, tiles, start: 2 }, { batches: 1 })).toThrow(/start/);
    expect(() => neighbourhoodBlocks(gpu, { ...mask, tiles }, { batches: 0 })).toThrow(/batches/);
  });
});
