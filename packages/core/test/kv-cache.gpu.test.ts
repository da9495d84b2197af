import { ArgumentError, CapacityError, DisposedError, KvCache, LimitError, ShapeError } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const modest = await modestGpu();

/** Rows [start, end) of every head of a [B, Hkv, M, D] array. */
function rowsOf(
  data: ArrayLike<number>,
  heads: number,
  keys: number,
  size: number,
  start: number,
  end: number,
): number[] {
  return Array.from({ length: heads }, (_, head) =>
    Array.from(data).slice((head * keys + start) * size, (head * keys + end) * size),
  ).flat();
}

describe.each([
  ['every feature', gpu],
  ['WebGPU defaults', modest],
])('KvCache with %s', (_, device) => {
  it.each([
    ['f32', 1, 3, 64],
    ['f32', 2, 2, 17],
    ['f16', 2, 3, 80],
  ] as const)('appends %s rows at the length, batch %i, heads %i, size %i', async (dtype, batch, kvHeads, headSize) => {
    using cache = KvCache.create(device, { layers: 2, batch, kvHeads, headSize, capacity: 9, dtype });
    const written: number[][] = [];
    for (const [step, count] of [5, 1, 2].entries()) {
      const data = randomArray(batch * kvHeads * count * headSize, step);
      device.tidy(() => {
        const k = device.tensor(data, [batch, kvHeads, count, headSize]);
        const v = device.tensor(
          data.map((value) => -value),
          [batch, kvHeads, count, headSize],
        );
        cache.layer(1).append(k, v);
      });
      cache.advance(count);
      written.push([...data]);
    }
    expect(cache.length).toBe(8);
    const keys = await cache.layer(1).keys.read();
    const values = await cache.layer(1).values.read();
    const tolerance = { relative: dtype === 'f16' ? 1e-3 : 0, absolute: dtype === 'f16' ? 1e-7 : 0 };
    let start = 0;
    for (const [step, count] of [5, 1, 2].entries()) {
      const expected = written[step] as number[];
      assertClose(rowsOf(keys, batch * kvHeads, 9, headSize, start, start + count), expected, tolerance);
      assertClose(
        rowsOf(values, batch * kvHeads, 9, headSize, start, start + count),
        expected.map((x) => -x),
        tolerance,
      );
      start += count;
    }
  });

  it('takes strided views, as a projection [N, heads x D] gives them', async () => {
    using cache = KvCache.create(device, { layers: 1, kvHeads: 3, headSize: 16, capacity: 4 });
    const projection = randomArray(2 * 5 * 16, 7);
    device.tidy(() => {
      const x = device.tensor(projection, [1, 2, 5, 16]);
      cache.layer(0).append(x.slice(2, 1, 4).transpose(0, 2, 1, 3), x.slice(2, 2, 5).transpose(0, 2, 1, 3));
    });
    const keys = await cache.layer(0).keys.read();
    const values = await cache.layer(0).values.read();
    for (let head = 0; head < 3; head++) {
      for (let row = 0; row < 2; row++) {
        const at = (index: number) => Array.from(projection).slice((row * 5 + index) * 16, (row * 5 + index + 1) * 16);
        expect(Array.from(keys).slice((head * 4 + row) * 16, (head * 4 + row + 1) * 16)).toEqual(at(head + 1));
        expect(Array.from(values).slice((head * 4 + row) * 16, (head * 4 + row + 1) * 16)).toEqual(at(head + 2));
      }
    }
  });
});

describe('KvCache', () => {
  const options = { layers: 2, kvHeads: 2, headSize: 4, capacity: 6 };
  const filled = (value: number, count: number) =>
    gpu.tensor(new Float32Array(2 * count * 4).fill(value), [1, 2, count, 4]);

  function append(cache: KvCache, value: number, count: number): void {
    gpu.tidy(() => {
      for (let layer = 0; layer < cache.layers; layer++)
        cache.layer(layer).append(filled(value, count), filled(-value, count));
    });
    cache.advance(count);
  }

  async function keysOf(cache: KvCache, layer = 0): Promise<number[]> {
    const all = await cache.layer(layer).keys.read();
    return rowsOf(all, 2, cache.capacity, 4, 0, cache.length).filter((_, index) => index % 4 === 0);
  }

  it('writes in one dispatch', () => {
    using cache = KvCache.create(gpu, options);
    const before = gpu.stats().dispatches;
    gpu.tidy(() => cache.layer(0).append(filled(1, 2), filled(2, 2)));
    expect(gpu.stats().dispatches - before).toBe(1);
  });

  it('overwrites inside the valid rows and truncates', async () => {
    using cache = KvCache.create(gpu, options);
    append(cache, 1, 4);
    gpu.tidy(() => cache.layer(0).overwrite(1, filled(9, 2), filled(9, 2)));
    expect(await keysOf(cache)).toEqual([1, 9, 9, 1, 1, 9, 9, 1]);
    cache.truncate(2);
    append(cache, 5, 1);
    expect(await keysOf(cache)).toEqual([1, 9, 5, 1, 9, 5]);
    gpu.tidy(() => {
      expect(() => cache.layer(0).overwrite(2, filled(0, 2), filled(0, 2))).toThrow(ArgumentError);
    });
  });

  it('forks share buffers until one side writes, layer by layer', async () => {
    const live = gpu.stats().liveBytes;
    const cache = KvCache.create(gpu, options);
    append(cache, 1, 3);
    const alone = gpu.stats().liveBytes;
    const fork = cache.fork();
    expect(gpu.stats().liveBytes).toBe(alone);
    gpu.tidy(() => fork.layer(0).append(filled(2, 1), filled(2, 1)));
    expect(gpu.stats().liveBytes - alone).toBe((alone - live) / 2);
    gpu.tidy(() => fork.layer(1).append(filled(2, 1), filled(2, 1)));
    fork.advance(1);
    append(cache, 3, 2);
    expect(gpu.stats().liveBytes - alone).toBe(alone - live);
    expect(await keysOf(cache, 1)).toEqual([1, 1, 1, 3, 3, 1, 1, 1, 3, 3]);
    expect(await keysOf(fork, 1)).toEqual([1, 1, 1, 2, 1, 1, 1, 2]);
    cache.dispose();
    expect(await keysOf(fork)).toEqual([1, 1, 1, 2, 1, 1, 1, 2]);
    fork.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });

  it('survives the scope in which a copy on write happens', async () => {
    using cache = KvCache.create(gpu, options);
    append(cache, 1, 1);
    using fork = cache.fork();
    gpu.tidy(() => fork.layer(0).append(filled(2, 1), filled(2, 1)));
    expect(fork.layer(0).keys.disposed).toBe(false);
  });

  it('refuses rows beyond its capacity, names both numbers, and grows', async () => {
    using cache = KvCache.create(gpu, options);
    append(cache, 1, 5);
    gpu.tidy(() => {
      expect(() => cache.layer(0).append(filled(2, 2), filled(2, 2))).toThrow(CapacityError);
      expect(() => cache.layer(0).append(filled(2, 2), filled(2, 2))).toThrow(/holds 6 tokens; 7 are needed/);
    });
    expect(() => cache.advance(2)).toThrow(CapacityError);
    cache.grow(7);
    append(cache, 2, 2);
    expect(await keysOf(cache)).toEqual([1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1, 2, 2]);
    expect(() => cache.grow(6)).toThrow(ArgumentError);
  });

  it('reports its bytes and frees them', () => {
    const live = gpu.stats().liveBytes;
    const cache = KvCache.create(gpu, options);
    expect(cache.bytes).toBe(2 * 2 * 2 * 6 * 4 * 4);
    cache.dispose();
    cache.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
    expect(() => cache.layer(0)).toThrow(DisposedError);
  });

  it('refuses wrong arguments by name', () => {
    expect(() => KvCache.create(gpu, { ...options, layers: 0 })).toThrow(/layers/);
    expect(() => KvCache.create(gpu, { ...options, headSize: 3, dtype: 'f16' })).toThrow(ArgumentError);
    expect(() => KvCache.create(modest, { ...options, capacity: 2 ** 22, headSize: 64 })).toThrow(LimitError);
    using cache = KvCache.create(gpu, options);
    gpu.tidy(() => {
      expect(() => cache.layer(2)).toThrow(ArgumentError);
      expect(() => cache.layer(0).append(gpu.zeros([1, 2, 1, 5]), gpu.zeros([1, 2, 1, 5]))).toThrow(ShapeError);
      expect(() => cache.layer(0).append(filled(1, 1), gpu.zeros([1, 2, 1, 4], 'f16'))).toThrow(ArgumentError);
    });
  });
});
