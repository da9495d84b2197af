import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionOptions,
  attention,
  attentionKeyRows,
  type BlockList,
  blockListFromMask,
  LimitError,
  type Mask,
  ShapeError,
  type Tensor,
  topKeys,
} from '../src/index.ts';
import {
  assertClose,
  attentionReference,
  countKeyRows,
  type HostMask,
  hardwareKernelsGpu,
  maskReference,
  modestGpu,
  proveSparse,
  randomArray,
  randomIntegers,
  sharedGpu,
} from '../src/testing/index.ts';
import { type AttentionCase, checkCase, deviceMask } from './attention-case.ts';

const base: AttentionCase = { batches: 2, heads: 4, kvHeads: 2, queries: 19, keys: 60, headSize: 32 };
/** Rows per workgroup that compile quickly. */
const quick = { sharedRows: 2 } as const;
const rows = { layout: 'rows', access: 'staged' } as const;
const staged = { layout: 'features', access: 'staged', sharedRows: 3 } as const;

/** Lists of `length` distinct numbers below `below`, one after the other. */
function distinct(lists: number, length: number, below: number, seed: number): number[] {
  return Array.from({ length: lists }, (_, list) => {
    const order = randomArray(below, seed + list);
    return Array.from({ length: below }, (_, at) => at)
      .sort((a, b) => (order[a] as number) - (order[b] as number))
      .slice(0, length);
  }).flat();
}

const blockList = (per: 'queryHead' | 'kvHead', queryBlock: number, keyBlock: number, length: number) => {
  const lists = base.batches * (per === 'kvHead' ? base.kvHeads : base.heads) * Math.ceil(base.queries / queryBlock);
  return {
    indices: distinct(lists, length, Math.ceil(base.keys / keyBlock), 5),
    counts: randomIntegers(lists, 6, length + 1),
    queryBlock,
    keyBlock,
    per,
  } as const;
};

const tokenList = (per: 'queryHead' | 'kvHead', queryBlock?: number) => {
  const blocks = queryBlock === undefined ? 1 : Math.ceil(base.queries / queryBlock);
  const lists = base.batches * (per === 'kvHead' ? base.kvHeads : base.heads) * blocks;
  return {
    indices: distinct(lists, 11, base.keys, 9),
    counts: randomIntegers(lists, 8, 12),
    per,
    ...(queryBlock === undefined ? {} : { queryBlock }),
  } as const;
};

const segments = (size: number, seed: number) => randomIntegers(size, seed, 3);
const relation = (kind: 'same' | 'different' | 'earlier' | 'notLater'): HostMask => ({
  kind: 'tokenRelation',
  relation: kind,
  queries: segments(2 * 19, 1),
  keys: segments(2 * 60, 2),
});
const window: HostMask = { kind: 'slidingWindow', before: 7, after: 2 };
const prefixes: HostMask = { kind: 'prefix', length: [3, 20] };
const anyOf = (...parts: HostMask[]): HostMask => ({ kind: 'anyOf', parts });
const allOf = (...parts: HostMask[]): HostMask => ({ kind: 'allOf', parts });
const tokens = (list: ReturnType<typeof tokenList>): HostMask => ({ kind: 'tokens', list });
const blocks = (list: ReturnType<typeof blockList>): HostMask => ({ kind: 'blocks', list });

/** Masks by name. Queries stand at positions 41 to 59 of 60. */
const masks: Readonly<Record<string, HostMask>> = {
  'a causal part': { kind: 'causal' },
  'a two-sided window': window,
  'a dilated window': { kind: 'slidingWindow', before: 21, after: 9, dilation: 3 },
  'every fifth key': { kind: 'strided', stride: 5, offset: 2 },
  'prefixes of each batch entry': prefixes,
  'a range of keys': { kind: 'keyRange', start: 11, end: 43 },
  'a prefix language model': anyOf({ kind: 'causal' }, { kind: 'prefix', length: 50 }),
  'sinks and a window': anyOf({ kind: 'prefix', length: 4 }, { kind: 'slidingWindow', before: 8, after: 0 }),
  'blocks in 1 dimension': { kind: 'blocked', grid: [60], block: [7] },
  'blocks in 2 dimensions': { kind: 'blocked', grid: [6, 9], block: [4, 2], start: 3 },
  'blocks in 3 dimensions': { kind: 'blocked', grid: [3, 4, 5], block: [2, 2, 3] },
  'a neighbourhood in 1 dimension': { kind: 'neighbourhood', grid: [60], window: [7] },
  'a neighbourhood in 2 dimensions': { kind: 'neighbourhood', grid: [6, 9], window: [3, 4], start: 3 },
  'a neighbourhood in 3 dimensions': { kind: 'neighbourhood', grid: [3, 4, 5], window: [3, 2, 3] },
  'a neighbourhood with strides': { kind: 'neighbourhood', grid: [6, 10], window: [3, 5], stride: [2, 4] },
  'a neighbourhood with dilations': { kind: 'neighbourhood', grid: [6, 10], window: [2, 3], dilation: [2, 3] },
  'a neighbourhood with strides and dilations': {
    kind: 'neighbourhood',
    ...{ grid: [6, 10], window: [2, 3], stride: [2, 3], dilation: [2, 3] },
  },
  'a neighbourhood that is causal along one axis': {
    kind: 'neighbourhood',
    ...{ grid: [6, 10], window: [3, 5], stride: [2, 3], causal: [true, false] },
  },
  'a causal dilated neighbourhood in 1 dimension': {
    kind: 'neighbourhood',
    ...{ grid: [58], start: 1, window: [9], stride: [4], dilation: [3], causal: [true] },
  },
  'a neighbourhood beside tokens that all see': {
    kind: 'neighbourhood',
    ...{ grid: [6, 8], start: 5, window: [3, 3], stride: [1, 2], others: 'seen' },
  },
  'the same segment': relation('same'),
  'other segments': relation('different'),
  'no later segment': allOf(relation('notLater'), { kind: 'causal' }),
  'an earlier segment or a window': anyOf(relation('earlier'), window),
  'all but a window': { kind: 'not', part: window },
  nothing: anyOf(),
  everything: allOf(),
  'a custom predicate': {
    kind: 'custom',
    numbers: { limit: 40 },
    inputs: { weights: [0.2, 0.7, 0.5, 0.1] },
    wgsl: ({ head, keyPosition, number, input }) =>
      `${input('weights', head)} * f32(${keyPosition}) < 0.5 * ${number('limit')}`,
    reference: ({ head, keyPosition }) => [0.2, 0.7, 0.5, 0.1][head]! * keyPosition < 20,
  },
  'token lists per query block': tokens(tokenList('kvHead', 8)),
  'token lists per query block and head': tokens(tokenList('queryHead', 5)),
  'block lists': blocks(blockList('kvHead', 8, 10, 3)),
  'block lists per query head': blocks(blockList('queryHead', 6, 16, 2)),
  'a block list for more queries than there are': blocks(blockList('kvHead', 32, 10, 3)),
  'block lists and causality': allOf(blocks(blockList('kvHead', 8, 10, 3)), { kind: 'causal' }),
  'a token list and a window': anyOf(tokens(tokenList('kvHead')), window),
  'a token list per query block and a prefix': anyOf(tokens(tokenList('queryHead', 4)), prefixes),
  'a block list and a window': anyOf(blocks(blockList('kvHead', 8, 10, 3)), window),
  'both lists': anyOf(tokens(tokenList('kvHead', 4)), blocks(blockList('kvHead', 6, 10, 3))),
  'both lists, a window, and a segment': anyOf(
    allOf(tokens(tokenList('queryHead')), relation('different')),
    blocks(blockList('kvHead', 8, 10, 3)),
    window,
  ),
};

describe('masks', () => {
  for (const [name, mask] of Object.entries(masks)) {
    it(name, async () => checkCase(await sharedGpu(), { ...base, mask, plan: quick }));
  }

  const telling = ['a neighbourhood in 2 dimensions', 'both lists, a window, and a segment'];
  for (const name of telling) {
    const mask = masks[name] as HostMask;
    it(`${name}, by default`, async () => checkCase(await sharedGpu(), { ...base, mask }));
    it(`${name}, eight rows per workgroup`, async () =>
      checkCase(await sharedGpu(), { ...base, mask, plan: { layout: 'features' } }));
    it(`${name}, on WebGPU’s defaults`, async () => checkCase(await modestGpu(), { ...base, mask }));
    it(`${name}, in rows`, async () => checkCase(await sharedGpu(), { ...base, mask, plan: rows }));
    it(`${name}, staged`, async () => checkCase(await sharedGpu(), { ...base, mask, plan: staged }));
  }

  it('of lists with ragged lengths, one of them empty', async () => {
    const mask = masks['both lists, a window, and a segment'] as HostMask;
    const ragged = { keyLengths: [0, 33], queryLengths: [19, 6] };
    await checkCase(await sharedGpu(), { ...base, mask, ...ragged, queryOffset: 14 });
    await checkCase(await sharedGpu(), { ...base, mask, ...ragged, causal: true, slidingWindow: 30 });
  });

  it('for one token, split over the keys', async () => {
    const mask = anyOf(
      { kind: 'tokens', list: { indices: distinct(4, 30, 60, 3), per: 'kvHead' } },
      { kind: 'slidingWindow', before: 12, after: 0 },
    );
    await checkCase(await sharedGpu(), { ...base, queries: 1, mask });
    await checkCase(await sharedGpu(), { ...base, queries: 1, mask, plan: { layout: 'features', parts: 3 } });
  });

  it('run in the kernels of hardware adapters', async () => {
    // One row per workgroup: a software adapter compiles their unrolled text for half a minute otherwise.
    const mask = anyOf({ kind: 'tokens', list: { indices: distinct(4, 9, 60, 3), per: 'kvHead' } }, window);
    const plan = { layout: 'features', access: 'staged', sharedRows: 1 } as const;
    await checkCase(await hardwareKernelsGpu(), { ...base, queries: 1, headSize: 16, mask, plan });
  });

  it('with keys and values in f16', async () => {
    const gpu = await sharedGpu();
    if (gpu.capabilities.f16) await checkCase(gpu, { ...base, mask: anyOf(window, prefixes), dtype: 'f16' });
  });

  it('compose in any way', async () => {
    const gpu = await sharedGpu();
    const leaf = fc.constantFrom<HostMask>(
      window,
      prefixes,
      relation('same'),
      { kind: 'causal' },
      { kind: 'neighbourhood', grid: [6, 10], window: [3, 5] },
    );
    const pair = fc.tuple(fc.constantFrom('anyOf' as const, 'allOf' as const), leaf, leaf, fc.boolean());
    const list = fc.constantFrom(tokens(tokenList('kvHead', 8)), blocks(blockList('kvHead', 8, 10, 3)));
    await fc.assert(
      fc.asyncProperty(pair, list, fc.boolean(), async ([kind, first, second, inverted], listed, united) => {
        const predicate: HostMask = { kind, parts: [first, inverted ? { kind: 'not', part: second } : second] };
        await checkCase(gpu, { ...base, mask: united ? anyOf(predicate, listed) : allOf(predicate, listed) });
      }),
      { numRuns: 6, seed: 5 },
    );
  });

  it('refuse what they cannot be', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const q = gpu.zeros([1, 2, 4, 16]);
      const k = gpu.zeros([1, 2, 20, 16]);
      const list = { indices: gpu.zeros([1, 2, 2, 3], 'u32'), queryBlock: 2, keyBlock: 4, per: 'kvHead' as const };
      const run = (mask: AttentionOptions) => () => attention(q, k, k, mask);
      expect(run({ blocks: { ...list, queryBlock: 3, keyBlock: 0 } })).toThrow(ArgumentError);
      expect(run({ blocks: { ...list, queryBlock: 1 } })).toThrow(ShapeError);
      expect(run({ mask: { kind: 'not', part: { kind: 'blocks', list } } })).toThrow(/not/);
      const other = { kind: 'blocks', list: { ...list } } as const;
      expect(run({ blocks: list, mask: other })).toThrow(/intersection of two lists/);
      expect(run({ mask: { kind: 'anyOf', parts: [{ kind: 'blocks', list }, other] } })).toThrow(/two lists of a kind/);
      expect(run({ mask: { kind: 'neighbourhood', grid: [4, 5], window: [5, 5] } })).toThrow(/axis 0/);
      expect(run({ mask: { kind: 'blocked', grid: [4, 5], block: [2] } })).toThrow(/2 positive integers/);
      const grid = { kind: 'neighbourhood', grid: [4, 5], window: [2, 2] } as const;
      expect(run({ mask: { ...grid, causal: [true] } })).toThrow(/2 booleans/);
      expect(run({ mask: { ...grid, others: 'none' as 'seen' } })).toThrow(/others/);
      expect(run({ mask: { ...grid, tiles: { query: [2, 2], key: [2] } } })).toThrow(/tiles of keys/);
      expect(run({ mask: { ...grid, grid: [2048, 1024], window: [2, 2] } })).toThrow(/1048576 tokens/);
      expect(run({ mask: grid, blocks: { ...list, full: 4 } })).toThrow(/blocks.full/);
      expect(run({ mask: { kind: 'slidingWindow', before: -1, after: 0 } })).toThrow(/before/);
      const keys = gpu.zeros([1, 20], 'u32');
      expect(run({ mask: { kind: 'tokenRelation', relation: 'same', queries: keys, keys } })).toThrow(ShapeError);
      const grids = Array.from({ length: 5 }, () => ({ kind: 'blocked' as const, grid: [2, 2, 5], block: [1, 1, 2] }));
      const many = { kind: 'anyOf', parts: [...grids, ...grids] } as const;
      expect(run({ mask: many })).toThrow(LimitError);
      expect(() => topKeys(q, k, { k: 2, per: 'kvHead', mask: many })).toThrow(/scalars/);
      expect(run({ mask: { kind: 'custom', wgsl: ({ number }) => number('missing') } })).toThrow(/missing/);
    });
  });
});

describe('proofs of sparseness', () => {
  const shape = [2, 2, 60, 32];
  const [keys, values] = [randomArray(2 * 2 * 60 * 32, 2), randomArray(2 * 2 * 60 * 32, 3)];
  const q = randomArray(2 * 4 * 19 * 32, 1);

  for (const device of ['sharedGpu', 'modestGpu'] as const) {
    it(`of block lists per query block, ${device}`, async () => {
      const gpu = await (device === 'sharedGpu' ? sharedGpu() : modestGpu());
      const query = gpu.tensor(q, [2, 4, 19, 32]);
      // Blocks 0 to 2 of 6: half of the rows are never read.
      const indices = distinct(4 * 3, 2, 3, 4);
      const list: BlockList = {
        indices: gpu.tensor(indices, [2, 2, 3, 2], 'u32'),
        counts: 2,
        queryBlock: 8,
        keyBlock: 10,
        per: 'kvHead',
      };
      const empty = gpu.empty(shape);
      const declaredKeyRows = attentionKeyRows(query, empty, empty, { blocks: list });
      const group = (queries: number) => Math.ceil((queries * 2) / (gpu.capabilities.subgroups ? 8 : 3));
      expect(declaredKeyRows).toBe(4 * 20 * (group(8) + group(8) + group(3)));
      const selected = (head: number, position: number) =>
        indices.slice(head * 6, head * 6 + 6).includes(Math.floor(position / 10));
      const run = (k: Tensor, v: Tensor, keyRowCounter?: Tensor) =>
        attention(query, k, v, { blocks: list, ...(keyRowCounter ? { keyRowCounter } : {}) }).output;
      await proveSparse({ gpu, keys, values, shape, selected, run, declaredKeyRows });
      for (const tensor of [query, list.indices, empty]) tensor.dispose();
    });
  }

  it.each(['sharedGpu', 'modestGpu'] as const)('of a union of a token list and a window, %s', async (device) => {
    const gpu = await (device === 'sharedGpu' ? sharedGpu() : modestGpu());
    const query = gpu.tensor(q.subarray(0, 2 * 4 * 32), [2, 4, 1, 32]);
    const lists = distinct(4, 9, 60, 7);
    const indices = gpu.tensor(lists, [2, 2, 9], 'u32');
    const counts = gpu.tensor([9, 4, 0, 6], [2, 2], 'u32');
    const mask: Mask = {
      kind: 'anyOf',
      parts: [
        { kind: 'tokens', list: { indices, counts, per: 'kvHead' } },
        { kind: 'slidingWindow', before: 9, after: 0 },
      ],
    };
    // The query stands at position 59. Keys of both are loaded twice and counted once.
    const selected = (head: number, position: number) =>
      position >= 50 || lists.slice(head * 9, head * 9 + ([9, 4, 0, 6][head] as number)).includes(position);
    const run = (k: Tensor, v: Tensor, keyRowCounter?: Tensor) =>
      attention(query, k, v, { mask, ...(keyRowCounter ? { keyRowCounter } : {}) }).output;
    await proveSparse({ gpu, keys, values, shape, selected, run, declaredKeyRows: 9 + 4 + 0 + 6 + 4 * 10 });
    for (const tensor of [query, indices, counts]) tensor.dispose();
  });

  it('work falls with counts on the device', async () => {
    const gpu = await sharedGpu();
    const counted = async (counts: readonly number[]) =>
      countKeyRows(gpu, (keyRowCounter) => {
        const list: BlockList = {
          indices: gpu.tensor(distinct(4, 6, 6, 4), [2, 2, 1, 6], 'u32'),
          counts: gpu.tensor(counts, [2, 2, 1], 'u32'),
          queryBlock: 19,
          keyBlock: 10,
          per: 'kvHead',
        };
        const [k, v] = [gpu.tensor(keys, shape), gpu.tensor(values, shape)];
        attention(gpu.tensor(q, [2, 4, 19, 32]), k, v, { blocks: list, keyRowCounter });
      });
    const full = await counted([6, 6, 6, 6]);
    expect(await counted([1, 2, 3, 0])).toBe(full / 4);
    expect(await counted([0, 0, 0, 0])).toBe(0);
  });

  it('of bounds that predicates know', async () => {
    const gpu = await sharedGpu();
    const loaded = (mask: AttentionOptions) =>
      countKeyRows(gpu, (keyRowCounter) => {
        const [k, v] = [gpu.tensor(keys, shape), gpu.tensor(values, shape)];
        attention(gpu.tensor(q.subarray(0, 2 * 4 * 32), [2, 4, 1, 32]), k, v, { ...mask, keyRowCounter });
      });
    const heads = 4;
    // The query stands at position 59.
    expect(await loaded({ mask: { kind: 'slidingWindow', before: 9, after: 0 } })).toBe(heads * 10);
    expect(await loaded({ mask: { kind: 'prefix', length: 7 } })).toBe(heads * 7);
    expect(await loaded({ mask: { kind: 'keyRange', start: 40, end: 53 } })).toBe(heads * 13);
    expect(await loaded({ mask: { kind: 'blocked', grid: [60], block: [16] } })).toBe(heads * 12);
    expect(await loaded({ mask: { kind: 'neighbourhood', grid: [6, 10], window: [3, 3] } })).toBe(heads * 30);
    expect(await loaded({ mask: { kind: 'anyOf', parts: [] } })).toBe(0);
    const sinks = { kind: 'tokens', list: { indices: gpu.zeros([2, 1, 1], 'u32'), per: 'kvHead' } } as const;
    const recent = { kind: 'slidingWindow', before: 4, after: 0 } as const;
    expect(await loaded({ mask: { kind: 'anyOf', parts: [sinks, recent] } })).toBe(heads * 6);
    sinks.list.indices.dispose();
  });

  it('block lists that the GPU finds hold the blocks with a visible pair, and leave the rest unread', async () => {
    const found: HostMask = allOf(anyOf(relation('same'), { kind: 'prefix', length: 3 }), window);
    const options = { batches: 2, queries: 19, keys: 60, queryBlock: 4, keyBlock: 8 } as const;
    const lengths = [60, 41];
    const sizes = { batches: 2, heads: 1, kvHeads: 1, queries: 19 };
    const expected = Array.from({ length: 2 * 5 }, (_, row) => {
      const [batch, block] = [Math.floor(row / 5), row % 5];
      return Array.from({ length: 8 }, (_, keyBlock) => keyBlock).filter((keyBlock) => {
        for (let query = 4 * block; query < Math.min(4 * block + 4, 19); query++) {
          for (let key = 8 * keyBlock; key < Math.min(8 * keyBlock + 8, lengths[batch] as number); key++) {
            const queryPosition = (lengths[batch] as number) - 19 + query;
            const pair = { batch, head: 0, query, queryPosition, keyPosition: key };
            if (maskReference(found, pair, key, sizes)) return true;
          }
        }
        return false;
      });
    });
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      const [list, output] = gpu.tidy(() => {
        const mask = deviceMask(gpu, found, sizes);
        const keyLength = gpu.tensor(lengths, [2], 'u32');
        const list = blockListFromMask(gpu, mask, { ...options, keyLength });
        const [k, v] = [gpu.tensor(keys, shape), gpu.tensor(values, shape)];
        const { output } = attention(gpu.tensor(q, [2, 4, 19, 32]), k, v, { blocks: list, mask, keyLength });
        return [list, output] as const;
      });
      const [indices, counts] = await gpu.read([list.indices, list.counts]);
      expected.forEach((blocks, row) => {
        expect(counts?.[row]).toBe(blocks.length);
        expect(Array.from(indices as Uint32Array).slice(row * 8, row * 8 + blocks.length)).toEqual(blocks);
      });
      const whole = attentionReference({
        ...{ batches: 2, heads: 4, kvHeads: 2, queries: 19, keys: 60, headSize: 32, q, k: keys, v: values },
        keyLength: lengths,
        mask: found,
      });
      assertClose(await output.read(), whole.output, { absolute: 1e-5, relative: 1e-4 });
      for (const tensor of [list.indices, list.counts, output]) tensor.dispose();
    }
    expect(expected.flat().length).toBeLessThan(2 * 5 * 8 * 0.5);
  });

  it('of found block lists: the kernel loads those blocks', async () => {
    const gpu = await sharedGpu();
    const diagonal: HostMask = { kind: 'neighbourhood', grid: [6, 10], window: [3, 3] };
    const sizes = { batches: 1, heads: 1, kvHeads: 1, queries: 60 };
    const options = { batches: 1, queries: 60, keys: 60, queryBlock: 10, keyBlock: 10 } as const;
    const counted = await countKeyRows(gpu, (keyRowCounter) => {
      const mask = deviceMask(gpu, diagonal, sizes);
      const one = gpu.zeros([1, 1, 60, 32]);
      const blocks = blockListFromMask(gpu, mask, options);
      attention(one, one, one, { mask, blocks, keyRowCounter, plan: { layout: 'features' } });
    });
    // Each row of the grid sees three rows, in workgroups of 5 or 8 queries, two per block.
    expect(counted).toBe(6 * 3 * 10 * 2);
  });

  it('the reference itself: a hidden key has no weight', () => {
    const sizes = { batches: 1, heads: 1, kvHeads: 1, queries: 1, keys: 2, headSize: 1 };
    const mask: HostMask = { kind: 'prefix', length: 1 };
    const { output } = attentionReference({ ...sizes, q: [1], k: [1, 9], v: [4, 100], mask });
    expect(Array.from(output)).toEqual([4]);
  });
});
