import { ArgumentError, attention, KvCache, RefusedError, type RowGroup, type Tensor, topKeys } from '@saccade/core';
import {
  assertClose,
  attentionReference,
  modestGpu,
  quantizeReference,
  randomArray,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { append, count, fullPage, headSize, held, kvHeads, paged, pageSize, rowsOf } from './paged-rows.ts';

const gpu = await sharedGpu();
const modest = await modestGpu();

it('rows behind grouped ones go on in the last group of full precision', async () => {
  using cache = paged(gpu);
  append(cache, count(0, 40));
  const list = (rows: readonly number[]) => gpu.tensor([...rows, ...rows], [1, 2, rows.length], 'u32');
  const group = (rows: readonly number[]) => gpu.tidy(() => gpu.keep(list(rows)));
  const [first, rest, newest] = [group(count(0, 17)), group(count(17, 37)), group(count(37, 40))];
  cache.layer(0).arrange([{ indices: first, precision: 8 }, { indices: rest, precision: 8 }, { indices: newest }]);
  for (const each of [first, rest, newest]) each.dispose();
  append(cache, [40, 41]);
  const { tokens, positions } = await held(cache);
  expect(positions).toEqual(count(0, 42));
  assertClose(tokens, count(0, 42), { absolute: 0.2 });
  // Two pages for each packed group, then the rows that are not packed, without a gap.
  expect(cache.layer(0).view().options.keyLength).toBe(4 * pageSize + 5);
});

describe('pages of forks', () => {
  it('are shared until one side writes, then copied one by one', async () => {
    using cache = paged(gpu);
    append(cache, count(0, 40));
    const { liveBytes } = gpu.stats();
    using fork = cache.fork();
    // Only a page table of its own, 12 entries in each layer, in what the buffer has to spare or a larger one.
    expect(gpu.stats().liveBytes - liveBytes).toBeLessThan(fullPage);
    append(fork, [90]);
    append(cache, [50]);
    expect((await held(fork)).tokens).toEqual([...count(0, 40), 90]);
    expect((await held(cache)).tokens).toEqual([...count(0, 40), 50]);
    // Each layer copied the page that both write to, and no other.
    expect(gpu.stats().liveBytes - liveBytes).toBeLessThan(2 * 2.5 * fullPage);
  });

  it('are quantized once for both', async () => {
    using cache = paged(gpu, { precision: 8 });
    append(cache, count(0, 15));
    using fork = cache.fork();
    append(cache, [15]);
    append(fork, [15]);
    const before = (await held(fork)).tokens;
    fork.dispose();
    expect((await held(cache)).tokens).toEqual(before);
  });

  it('are quantized anew where one side has written since', async () => {
    using cache = paged(gpu, { precision: 8, recent: 8 });
    append(cache, count(0, 16));
    using fork = cache.fork();
    append(cache, count(16, 24));
    fork.truncate(10);
    append(fork, count(40, 54));
    assertClose((await held(fork)).tokens, [...count(0, 10), ...count(40, 54)], { absolute: 0.2 });
    assertClose((await held(cache)).tokens, count(0, 24), { absolute: 0.1 });
  });

  it('go back to the pool when both sides are gone', () => {
    const { liveBytes } = gpu.stats();
    const cache = paged(gpu, { precision: 4 });
    append(cache, count(0, 40));
    const fork = cache.fork();
    cache.dispose();
    append(fork, [1]);
    fork.dispose();
    expect(gpu.stats().liveBytes).toBe(liveBytes);
  });
});

describe.each([
  ['every feature', gpu],
  ['WebGPU defaults', modest],
])('rows in pages with %s', (_, device) => {
  it('are forgotten, written over and replaced, packed pages as well', async () => {
    using cache = paged(device, { precision: 8 });
    append(cache, count(0, 40));
    cache.truncate(20);
    append(cache, [70, 71]);
    const expected = [...count(0, 20), 70, 71];
    assertClose((await held(cache)).tokens, expected, { absolute: 0.1 });
    device.tidy(() => {
      const [k, v] = rowsOf(device, 1, [80, 81]);
      cache.layer(0).overwrite(15, k, v);
      cache.layer(1).replace({ indices: device.tensor([3, 17, 3, 17], [1, 2, 2], 'u32') }, k, v);
    });
    const overwritten = [...count(0, 15), 80, 81, ...expected.slice(17)];
    assertClose((await held(cache)).tokens, overwritten, { absolute: 0.35 });
    const replaced = expected.map((token, row) => (row === 3 ? 80 : row === 17 ? 81 : token));
    assertClose((await held(cache, 1)).tokens, replaced, { absolute: 0.35 });
  });

  it('may be grouped by precision: attention sees each group as its pages have it, and causality by position', async () => {
    const tokens = 60;
    const [k, v] = [randomArray(2 * tokens * headSize, 1), randomArray(2 * tokens * headSize, 2)];
    const q = randomArray(4 * 3 * headSize, 3);
    const salient = [
      [3, 5, 8, 13, 21, 34, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53],
      [0, 1, 2, 6, 20, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39],
    ];
    const rest = salient.map((own) => count(0, 57).filter((row) => !own.includes(row)));
    using cache = paged(device);
    const output = device.tidy(() => {
      const [allK, allV] = [k, v].map((data) => device.tensor(data, [1, 2, tokens, headSize])) as [Tensor, Tensor];
      for (const layer of [0, 1]) cache.layer(layer).append(allK.slice(2, 0, 57), allV.slice(2, 0, 57));
      cache.advance();
      const list = (rows: readonly (readonly number[])[]) =>
        device.tensor(rows.flat(), [1, 2, rows[0]?.length as number], 'u32');
      const groups: RowGroup[] = [
        { indices: list(salient), precision: 4 },
        { indices: list(rest), precision: 2 },
      ];
      cache.layer(0).arrange(groups);
      const view = cache.layer(0).append(allK.slice(2, 57, 60), allV.slice(2, 57, 60));
      return attention(device.tensor(q, [1, 4, 3, headSize]), view.keys, view.values, { causal: true, ...view.options })
        .output;
    });
    const stored = (data: Float32Array, per: 'channel' | 'token') => {
      const all = Float64Array.from(data);
      for (const [rows, bits] of [
        [salient, 4],
        [rest, 2],
      ] as const) {
        for (const [head, own] of rows.entries()) {
          for (let page = 0; page < own.length; page += pageSize) {
            const listed = own.slice(page, page + pageSize);
            const at = (row: number) => (head * tokens + row) * headSize;
            const packed = quantizeReference(
              listed.flatMap((row) => [...data.subarray(at(row), at(row) + headSize)]),
              headSize,
              { bits, per },
            );
            for (const [index, row] of listed.entries()) {
              all.set(packed.values.subarray(index * headSize, (index + 1) * headSize), at(row));
            }
          }
        }
      }
      return all;
    };
    const expected = attentionReference({
      ...{ batches: 1, heads: 4, kvHeads: 2, queries: 3, keys: tokens, headSize, causal: true },
      ...{ q, k: stored(k, 'channel'), v: stored(v, 'token') },
    });
    assertClose(await output.read(), expected.output, { absolute: 2e-3, relative: 1e-3 });
    output.dispose();
    cache.advance();
    using restored = KvCache.restore(device, await cache.save());
    const padded = cache.layer(0).padded();
    const { keys, values, positions } = padded;
    expect(Array.from(await positions.read()).slice(0, 60)).toEqual([
      ...(salient[0] as number[]),
      ...(rest[0] as number[]),
      57,
      58,
      59,
    ]);
    const again = restored.layer(0).padded();
    expect(await again.keys.read()).toEqual(await keys.read());
    expect(await again.values.read()).toEqual(await values.read());
    for (const tensor of [...Object.values(padded), ...Object.values(again)]) tensor.dispose();
  });
});

describe('eviction from pages', () => {
  const rows = (list: readonly number[]) => gpu.tensor([...list, ...list], [1, 2, list.length], 'u32');

  it('frees pages, keeps positions, and may happen inside a pass', async () => {
    using cache = paged(gpu);
    append(cache, count(0, 80));
    const { bytes } = cache;
    gpu.tidy(() => {
      cache.layer(1).evict({ indices: rows([0, 1, 2, 60, 79]), room: 16 });
      const [k, v] = rowsOf(gpu, 1, [80]);
      for (const layer of [0, 1]) cache.layer(layer).append(k, v);
      cache.layer(0).evict({ indices: rows([0, 30, 79, 80]), room: 16 });
    });
    cache.advance();
    expect(cache.bytes).toBeLessThan(bytes / 2);
    expect(await held(cache, 1)).toEqual({ tokens: [0, 1, 2, 60, 79, 80], positions: [0, 1, 2, 60, 79, 80] });
    append(cache, [81]);
    expect(await held(cache, 0)).toEqual({ tokens: [0, 30, 79, 80, 81], positions: [0, 30, 79, 80, 81] });
    expect(() => cache.truncate(70)).toThrow(/evicted/);
    cache.truncate(81);
    expect((await held(cache, 0)).tokens).toEqual([0, 30, 79, 80]);
    expect(cache.layer(0).kind).toBe('paged');
    expect(cache.layer(0).rowsArePositions).toBe(false);
    expect(() => cache.layer(0).overwrite(0, ...rowsOf(gpu, 1, [1]))).toThrow(RefusedError);
  });

  it('with counts on the device makes the layer ragged, unless it is quantized', async () => {
    const kept = () => ({ indices: rows([1, 2, 3]), counts: gpu.tensor([2, 3], [1, 2], 'u32') });
    using cache = paged(gpu);
    append(cache, count(0, 20));
    gpu.tidy(() => cache.layer(0).evict(kept()));
    expect(cache.layer(0).kind).toBe('ragged');
    using quantized = paged(gpu, { precision: 4 });
    append(quantized, count(0, 20));
    gpu.tidy(() => expect(() => quantized.layer(0).evict(kept())).toThrow(RefusedError));
  });

  it('of what a pass skips leaves rows where they are', async () => {
    using cache = paged(gpu);
    append(cache, count(0, 10));
    append(cache, [10, 11], [0]);
    append(cache, [12]);
    expect(await held(cache, 1)).toEqual({ tokens: [...count(0, 10), 12], positions: [...count(0, 10), 12] });
    gpu.tidy(() => {
      const [k, v] = rowsOf(gpu, 1, [13, 14]);
      cache.layer(0).append(k, v);
      const [some, others] = rowsOf(gpu, 1, [14]);
      cache.layer(1).append(some, others, gpu.tensor([14], [1], 'u32'));
    });
    cache.advance();
    expect((await held(cache, 1)).positions).toEqual([...count(0, 10), 12, 14]);
    using restored = KvCache.restore(gpu, await cache.save());
    expect(await held(restored, 1)).toEqual(await held(cache, 1));
  });
});

describe('paged caches', () => {
  it('are saved as equal bytes and restored, whatever stood in their pages', async () => {
    using cache = paged(gpu, { precision: 4, recent: 8 });
    append(cache, count(0, 45));
    using other = paged(gpu, { precision: 4, recent: 8 });
    append(other, count(100, 145));
    other.truncate(0);
    append(other, count(0, 45));
    const saved = await cache.save();
    expect(await other.save()).toEqual(saved);
    using restored = KvCache.restore(gpu, saved);
    append(restored, [45]);
    append(cache, [45]);
    expect(await held(restored)).toEqual(await held(cache));
    expect(restored.capacity).toBe(cache.capacity);
  });

  it('join and are selected from, sequences of different lengths', async () => {
    using first = paged(gpu, { precision: 8 });
    using second = paged(gpu, { precision: 8 });
    append(first, count(0, 40));
    append(second, count(0, 18));
    using joined = KvCache.join([first, second], 64);
    append(joined, [50]);
    const near = { absolute: 0.1 };
    assertClose((await held(joined, 0, 1)).tokens, [...count(0, 18), 50], near);
    joined.reserve(40);
    const both = gpu.tensor([1, 1, 2, 2], [2, 2, 1], 'u32');
    gpu.tidy(() => {
      const [k, v] = rowsOf(gpu, 2, [7]);
      // Inside a pass the new rows are among those that are listed, and stay.
      joined.layer(1).append(k, v);
      joined.layer(1).replace({ indices: both }, k, v);
    });
    const after = await held(joined, 1, 1);
    assertClose(after.tokens, [0, 1, 7, ...count(3, 18), 50, 7], near);
    joined.truncate([41, 19]);
    using selected = joined.select([1, 0]);
    assertClose((await held(selected, 1, 1)).tokens, [0, 7, ...count(2, 40), 50], near);
    using plain = KvCache.create(gpu, { layers: 2, kvHeads, headSize, capacity: 8 });
    expect(() => KvCache.join([first, plain])).toThrow(ArgumentError);
  });

  it('give statistics of attention the same rows', async () => {
    using cache = paged(gpu, { precision: 8 });
    const data = randomArray(2 * 40 * headSize, 4);
    const [best, dense] = gpu.tidy(() => {
      const k = gpu.tensor(data, [1, 2, 40, headSize]);
      for (const layer of [0, 1]) cache.layer(layer).append(k, k);
      cache.advance();
      const q = k.slice(2, 7, 8);
      const { keys, options } = cache.layer(0).view();
      return [
        topKeys(q, keys, { k: 1, per: 'kvHead', ...options }).indices,
        topKeys(q, k, { k: 1, per: 'kvHead' }).indices,
      ] as const;
    });
    expect(await best.read()).toEqual(await dense.read());
    for (const indices of [best, dense]) indices.dispose();
  });

  it('refuse groups elsewhere, and files that were changed', async () => {
    using plain = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 8 });
    gpu.tidy(() => expect(() => plain.layer(0).arrange([{ indices: gpu.zeros([1, 2, 1], 'u32') }])).toThrow(/paged/));
    using cache = paged(gpu, { precision: 4 });
    append(cache, count(0, 20));
    const saved = await cache.save();
    const text = new TextDecoder('latin1').decode(saved);
    for (const [from, to] of [
      ['\\"rows\\":20', '\\"rows\\":95'],
      ['\\"pageSize\\":16', '\\"pageSize\\":32'],
      ['\\"pages\\":[[1,0]]', '\\"pages\\":[[1,3]]'],
      ['\\"bits\\":4', '\\"bits\\":5'],
    ] as const) {
      expect(text).toContain(from);
      const changed = Uint8Array.from(text.replace(from, to), (character) => character.charCodeAt(0));
      expect(() => KvCache.restore(gpu, changed)).toThrow(ArgumentError);
    }
  });
});
