import {
  ArgumentError,
  attention,
  attentionKeyRows,
  type CachePrecision,
  type Gpu,
  KvCache,
  type NumberFormat,
  type PagedRows,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import {
  assertClose,
  attentionReference,
  modestGpu,
  quantizeReference,
  randomArray,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const modest = await modestGpu();

const pageSize = 16;

interface Sizes {
  readonly batch?: number;
  readonly kvHeads?: number;
  readonly headSize?: number;
  readonly capacity?: number;
  readonly dtype?: 'f32' | 'f16';
  readonly recent?: number;
  readonly precision?: CachePrecision;
}

function pagedCache(device: Gpu, sizes: Sizes): KvCache {
  const { batch = 1, kvHeads = 2, headSize = 32, capacity = 80, dtype = 'f32', ...options } = sizes;
  return KvCache.create(device, {
    layers: [{ kind: 'paged', pageSize, ...options }],
    ...{ batch, kvHeads, headSize, capacity, dtype },
  });
}

/** Keys and values [heads, tokens, D] that go into a cache in passes of the given lengths. */
function fill(device: Gpu, cache: KvCache, passes: readonly number[], seed = 1) {
  const { batch, kvHeads, headSize } = cache;
  const tokens = passes.reduce((sum, count) => sum + count, 0);
  const shape = [batch, kvHeads, tokens, headSize];
  // Channels that differ by far, as keys have them.
  const spread = (data: Float32Array) => data.map((value, at) => value * (1 + (at % 7)) + (at % headSize) / 16);
  const k = spread(randomArray(batch * kvHeads * tokens * headSize, seed));
  const v = randomArray(batch * kvHeads * tokens * headSize, seed + 1);
  device.tidy(() => {
    const [keys, values] = [device.tensor(k, shape), device.tensor(v, shape)];
    let start = 0;
    for (const count of passes) {
      cache.layer(0).append(keys.slice(2, start, start + count), values.slice(2, start, start + count));
      cache.advance();
      start += count;
    }
  });
  return { k, v, tokens };
}

/** What pages of `precision` make of keys or values [heads, tokens, D]; tokens from `packed` on stay as they are. */
function packedReference(
  data: ArrayLike<number>,
  { heads, tokens, headSize, packed }: { heads: number; tokens: number; headSize: number; packed: number },
  format: NumberFormat,
  part: 'values' | 'high' = 'values',
): Float64Array {
  const out = Float64Array.from(data);
  for (let head = 0; head < heads; head++) {
    for (let page = 0; page < packed; page += pageSize) {
      const from = (head * tokens + page) * headSize;
      const rows = Array.from(data).slice(from, from + Math.min(pageSize, packed - page) * headSize);
      out.set(quantizeReference(rows, headSize, format)[part], from);
    }
  }
  return out;
}

const formats: readonly (readonly [string, CachePrecision, NumberFormat, NumberFormat])[] = [
  ['8 bits', 8, { bits: 8, per: 'channel' }, { bits: 8, per: 'token' }],
  ['4 bits', 4, { bits: 4, per: 'channel' }, { bits: 4, per: 'token' }],
  ['2 bits', 2, { bits: 2, per: 'channel' }, { bits: 2, per: 'token' }],
  ...(
    [
      [
        '6 + 4 bits symmetric, channel-separable',
        { bits: 10, lowBits: 4, per: 'token', symmetric: true },
        { bits: 4, per: 'channelSeparable' },
      ],
      [
        '8 + 4 bits, 6 bits',
        { bits: 12, lowBits: 4, per: 'channelSeparable' },
        { bits: 6, per: 'channel', symmetric: true },
      ],
    ] as [string, NumberFormat, NumberFormat][]
  ).map(([name, keys, values]) => [name, { keys, values }, keys, values] as const),
];

describe.each([
  ['every feature', gpu],
  ['WebGPU defaults', modest],
])('paged layers with %s', (_, device) => {
  it.each(formats)('hold %s as the reference has it', async (__, precision, keys, values) => {
    using cache = pagedCache(device, { precision, recent: 5 });
    const { k, v, tokens } = fill(device, cache, [30, 1, 20]);
    const sizes = { heads: 2, tokens, headSize: 32, packed: 32 };
    const padded = cache.layer(0).padded();
    for (const [stored, data, format] of [
      [padded.keys, k, keys],
      [padded.values, v, values],
    ] as const) {
      const expected = packedReference(data, sizes, format);
      const { steps } = quantizeReference(data, 32, format);
      // A number near a half may round either way in f32.
      const step = Math.max(...steps);
      const read = await stored.read();
      const off = Array.from(read, (value, at) => Math.abs(value - (expected[at] as number)));
      expect(off.filter((error) => error > 1e-4).length).toBeLessThan(read.length / 200);
      expect(Math.max(...off)).toBeLessThan(1.01 * step);
    }
    for (const tensor of Object.values(padded)) tensor.dispose();
  });

  it.each([
    ['f32 decode', { dtype: 'f32' as const }, 1],
    ['f16 prefill', { dtype: 'f16' as const }, 70],
    ['4 bits, decode', { precision: 4 as const }, 1],
    ['4 bits, several queries', { precision: 4 as const }, 9],
    ['2 bits, prefill behind it', { precision: 2 as const, recent: 8 }, 40],
    ['6 + 4 bits', { precision: formats[3]?.[1] as CachePrecision }, 3],
  ])('are read by attention as they are: %s', async (__, options, queries) => {
    const first = 70 - queries;
    using cache = pagedCache(device, { capacity: 70, ...options });
    const { batch, kvHeads, headSize } = cache;
    const passes = first > 0 ? [first, queries] : [queries];
    const shape = [batch, kvHeads, 70, headSize];
    const [k, v] = [randomArray(2 * 70 * 32, 3), randomArray(2 * 70 * 32, 4)];
    const q = randomArray(4 * queries * 32, 5);
    const [output, keys, values] = device.tidy(() => {
      const [allK, allV] = [device.tensor(k, shape), device.tensor(v, shape)];
      let start = 0;
      let view = cache.layer(0).view();
      for (const count of passes) {
        view = cache.layer(0).append(allK.slice(2, start, start + count), allV.slice(2, start, start + count));
        start += count;
        if (start < 70) cache.advance();
      }
      const padded = cache.layer(0).padded();
      const call = device.tensor(q, [1, 4, queries, headSize]);
      const result = attention(call, view.keys, view.values, { causal: true, ...view.options });
      return [result.output, padded.keys, padded.values] as const;
    });
    const expected = attentionReference({
      ...{ batches: 1, heads: 4, kvHeads: 2, queries, keys: 70, headSize: 32, causal: true },
      ...{ q, k: await keys.read(), v: await values.read() },
    });
    assertClose(await output.read(), expected.output, { absolute: 2e-5, relative: 1e-4 });
    for (const tensor of [output, keys, values]) tensor.dispose();
  });
});

describe('paged layers', () => {
  it('report every byte', () => {
    using cache = pagedCache(gpu, { precision: 4, capacity: 160 });
    const before = gpu.stats().liveBytes;
    expect(cache.bytes).toBeGreaterThan(0);
    fill(gpu, cache, [160]);
    // 10 pages of 2 heads: 4 bits a number, a word per channel of keys and per token of values; the table.
    const least = 4 * 10 * 2 * ((2 * pageSize * 32 * 4) / 32 + 32 + pageSize) + 4 * 20;
    expect(cache.bytes).toBeGreaterThanOrEqual(least);
    expect(cache.bytes).toBeLessThan(1.3 * least);
    expect(gpu.stats().liveBytes - before).toBeLessThan(1.5 * least);
  });

  it('refuse what they cannot store', () => {
    expect(() => pagedCache(gpu, { precision: 3 as 4 })).toThrow(ArgumentError);
    expect(() => pagedCache(gpu, { precision: 4, headSize: 20 })).toThrow(/multiple of 16/);
    expect(() => pagedCache(gpu, { recent: -1 })).toThrow(ArgumentError);
    const keys = { bits: 5, per: 'token' } as const;
    expect(() => pagedCache(gpu, { precision: { keys, values: keys } })).toThrow(/2, 4, 6, 8, 10, 12/);
    using cache = pagedCache(gpu, {});
    expect(() => cache.layer(0).keys).toThrow(RefusedError);
  });

  it('take a quantized page apart into the same integers', async () => {
    using cache = pagedCache(gpu, { precision: 4 });
    fill(gpu, cache, [48]);
    const saved = await cache.save();
    gpu.tidy(() => {
      const none = gpu.tensor([0, 0], [1, 2, 1], 'u32');
      const counts = gpu.zeros([1, 2], 'u32');
      const rows = gpu.zeros([1, 2, 1, 32]);
      cache.layer(0).replace({ indices: none, counts }, rows, rows);
    });
    expect(await cache.save()).toEqual(saved);
  });
});

describe('what attention does not look at in pages', () => {
  it.each([
    ['a token', 1],
    ['a prompt', 20],
  ])('is not loaded for %s: NaN there reaches nothing, and the kernel counts the listed rows', async (__, queries) => {
    const listed = [0, 3, 17, 18, 40, 63];
    const q = randomArray(4 * queries * 32, 5);
    const [k, v] = [randomArray(2 * 64 * 32, 6), randomArray(2 * 64 * 32, 7)];
    let declared = 0;
    const run = async (poisoned: boolean) => {
      using cache = pagedCache(gpu, { capacity: 64 });
      const data = [k, v].map((rows) =>
        rows.map((value, at) => (poisoned && !listed.includes(Math.floor(at / 32) % 64) ? Number.NaN : value)),
      );
      const [output, counted] = gpu.tidy(() => {
        const [keys, values] = data.map((rows) => gpu.tensor(rows, [1, 2, 64, 32])) as [Tensor, Tensor];
        const view = cache.layer(0).append(keys, values);
        const call = gpu.tensor(q, [1, 4, queries, 32]);
        const indices = gpu.tensor([...listed, ...listed], [1, 2, listed.length], 'u32');
        const options = { ...view.options, tokens: { indices, per: 'kvHead' as const } };
        const keyRowCounter = gpu.zeros([1], 'u32');
        const result = attention(call, view.keys, view.values, { ...options, keyRowCounter }).output;
        declared = attentionKeyRows(call, view.keys, view.values, options);
        return [result, keyRowCounter] as const;
      });
      const read = [await output.read(), (await counted.read())[0] as number] as const;
      for (const tensor of [output, counted]) tensor.dispose();
      return read;
    };
    const clean = await run(false);
    expect(await run(true)).toEqual(clean);
    expect(clean[1]).toBe(declared);
    expect(declared % listed.length).toBe(0);
  });
});

describe('bits apart', () => {
  const keys = { bits: 8, lowBits: 4, per: 'token', symmetric: true } as const;
  const precision = { keys, values: { bits: 8, per: 'token' } } as const;

  it('are read by their high part as the reference has it, and the low part is not loaded', async () => {
    using cache = pagedCache(gpu, { precision, capacity: 48 });
    const { k, v, tokens } = fill(gpu, cache, [48]);
    const q = randomArray(4 * 32, 9);
    const run = (source: KvCache, part: 'all' | 'high') =>
      gpu.tidy(() => {
        const view = source.layer(0).view();
        const rows = view.keys as PagedRows;
        const { output } = attention(
          gpu.tensor(q, [1, 4, 1, 32]),
          part === 'high' ? rows.high : rows,
          view.values,
          view.options,
        );
        return output;
      });
    const read = async (source: KvCache, part: 'all' | 'high') => {
      const output = run(source, part);
      const data = await output.read();
      output.dispose();
      return data as Float32Array;
    };
    const sizes = { heads: 2, tokens, headSize: 32, packed: 48 };
    const reference = (part: 'values' | 'high') =>
      attentionReference({
        ...{ batches: 1, heads: 4, kvHeads: 2, queries: 1, keys: 48, headSize: 32 },
        ...{ q, k: packedReference(k, sizes, keys, part), v: packedReference(v, sizes, precision.values) },
      }).output;
    const high = await read(cache, 'high');
    assertClose(high, reference('high'), { absolute: 2e-3, relative: 1e-3 });
    assertClose(await read(cache, 'all'), reference('values'), { absolute: 2e-3, relative: 1e-3 });
    // Ones in every low bit change what reads them, and nothing else.
    using poisoned = KvCache.restore(gpu, poisonLowBits(await cache.save(), 3, 2));
    expect(await read(poisoned, 'high')).toEqual(high);
    expect(await read(poisoned, 'all')).not.toEqual(await read(cache, 'all'));
    // The second pass of progressive quantization: heads that do not need their low bits have no keys in it.
    using half = KvCache.restore(
      gpu,
      poisonLowBits(await cache.save(), 3, 2, (head) => head === 0),
    );
    const second = async (source: KvCache) => {
      const output = gpu.tidy(() => {
        const { keys: all, values, options } = source.layer(0).view();
        const keyLength = gpu.tensor([0, 48], [1, 2], 'u32');
        return attention(gpu.tensor(q, [1, 4, 1, 32]), all, values, { ...options, keyLength, keyBound: 48 }).output;
      });
      const data = (await output.read()) as Float32Array;
      output.dispose();
      return data;
    };
    expect(await second(half)).toEqual(await second(cache));
    expect((await second(cache)).subarray(64)).toEqual((await read(cache, 'all')).subarray(64));
  });
});

/** A saved cache with all low bits of its keys set, of some heads or all: behind the ranges of the keys in every head's block. */
function poisonLowBits(
  saved: Uint8Array,
  pages: number,
  heads: number,
  which: (head: number) => boolean = () => true,
): Uint8Array {
  const bytes = saved.slice();
  const plane = (pageSize * 32 * 4) / 32;
  const block = 2 * plane + pageSize + (2 * plane + pageSize);
  const words = new Uint32Array(bytes.buffer, bytes.byteLength - 4 * pages * heads * block);
  for (let at = 0; at < pages * heads; at++) {
    if (!which(at % heads)) continue;
    const start = at * block + plane + pageSize;
    words.fill(0xffffffff, start, start + plane);
  }
  return bytes;
}
