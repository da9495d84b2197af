import { attention, type CacheDtype, type Gpu, KvCache, RefusedError, type Tensor } from '@saccade/core';
import {
  assertClose,
  modestGpu,
  poisonRows,
  proveSteady,
  randomArray,
  randomIntegers,
  seededRandom,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const devices = [
  ['every feature', gpu],
  ['WebGPU defaults', await modestGpu()],
] as const;

const [heads, kvHeads, headSize] = [4, 2, 12];
const tolerance = { absolute: 1e-5, relative: 1e-4 };

/** A row of the model: its position and content. */
interface Row {
  readonly position: number;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** The cache of one layer in plain JavaScript: rows per (sequence, head). */
type Model = Row[][][];

let seed = 1;
const fresh = (): Float32Array => randomArray(headSize, seed++);

function emptyModel(batch: number): Model {
  return Array.from({ length: batch }, () => Array.from({ length: kvHeads }, () => []));
}

/** New rows for every sequence and head, appended to the model; the tensor data [B, Hkv, N, D]. */
function grow(model: Model, positions: readonly (readonly number[])[]): { k: number[]; v: number[] } {
  const most = Math.max(...positions.map((own) => own.length));
  const [k, v]: [number[], number[]] = [[], []];
  model.forEach((sequence, b) => {
    for (const rows of sequence) {
      for (let index = 0; index < most; index++) {
        const row = { position: positions[b]?.[index] ?? -1, key: fresh(), value: fresh() };
        k.push(...row.key);
        v.push(...row.value);
        if (row.position >= 0) rows.push(row);
      }
    }
  });
  return { k, v };
}

/** Attention of the last `count` queries of each sequence over the model's rows, in f64: [B, H, N, D]. */
function expected(model: Model, q: ArrayLike<number>, count: number): number[] {
  return model.flatMap((sequence, b) =>
    Array.from({ length: heads }, (_, head) => {
      const rows = sequence[Math.floor((head * kvHeads) / heads)] as Row[];
      return Array.from({ length: count }, (_, index) => {
        const query = Array.from(
          { length: headSize },
          (_, d) => q[((b * heads + head) * count + index) * headSize + d] as number,
        );
        const seen = rows.slice(0, rows.length - count + index + 1);
        const scores = seen.map(
          ({ key }) => key.reduce((sum, x, d) => sum + x * (query[d] as number), 0) / Math.sqrt(headSize),
        );
        const most = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - most));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        return Array.from({ length: headSize }, (_, d) =>
          seen.reduce((sum, { value }, row) => sum + ((weights[row] as number) / total) * (value[d] as number), 0),
        );
      }).flat();
    }).flat(),
  );
}

/** Appends `count` tokens to sequence after sequence of layer 0 and compares its attention with the model. */
async function append(device: Gpu, cache: KvCache, model: Model, count: number, finish = true): Promise<void> {
  const batch = model.length;
  const positions = cache.lengths.map((length) => Array.from({ length: count }, (_, index) => length + index));
  const { k, v } = grow(model, positions);
  const q = randomArray(batch * heads * count * headSize, seed++);
  const output = device.tidy(() => {
    const shape = [batch, kvHeads, count, headSize];
    const { keys, values, options } = cache.layer(0).append(device.tensor(k, shape), device.tensor(v, shape));
    return attention(device.tensor(q, [batch, heads, count, headSize]), keys, values, { causal: true, ...options })
      .output;
  });
  if (finish) cache.advance();
  const data = await output.read();
  output.dispose();
  const precise = cache.dtype === 'f32' ? tolerance : { absolute: 5e-3, relative: 5e-3 };
  assertClose(data, expected(model, q, count), precise);
}

/** Keeps random rows of each head: the lists for the cache; the model keeps the same. */
function choose(
  model: Model,
  most: number,
  random: () => number,
): { indices: number[]; counts: number[]; width: number } {
  const lists = model.flatMap((sequence) =>
    sequence.map((rows) => {
      const count = Math.min(rows.length, 1 + Math.floor(random() * most));
      const order = rows.map((_, index) => ({ index, rank: random() })).sort((a, b) => a.rank - b.rank);
      return order
        .slice(0, count)
        .map(({ index }) => index)
        .sort((a, b) => a - b);
    }),
  );
  model.forEach((sequence, b) => {
    sequence.forEach((rows, head) => {
      sequence[head] = (lists[b * kvHeads + head] as number[]).map((index) => rows[index] as Row);
    });
  });
  const width = Math.max(...lists.map((list) => list.length));
  return {
    indices: lists.flatMap((list) => [...list, ...new Array<number>(width - list.length).fill(0xffffffff)]),
    counts: lists.map((list) => list.length),
    width,
  };
}

function evict(device: Gpu, cache: KvCache, chosen: ReturnType<typeof choose>, room?: number): void {
  const { indices, counts, width } = chosen;
  device.tidy(() => {
    const totals = Array.from({ length: cache.batch }, (_, b) =>
      counts.slice(b * kvHeads, (b + 1) * kvHeads).reduce((sum, count) => sum + count, 0),
    );
    cache.layer(0).evict({
      indices: device.tensor(indices, [cache.batch, kvHeads, width], 'u32'),
      counts: device.tensor(counts, [cache.batch, kvHeads], 'u32'),
      totals,
      ...(room === undefined ? {} : { room }),
    });
  });
}

async function checkRows(cache: KvCache, model: Model): Promise<void> {
  const { keys, values, positions, lengths } = cache.gpu.tidy(() => cache.layer(0).padded());
  const [k, p, counts] = await cache.gpu.read([keys, positions, lengths]);
  const longest = positions.shape[2] as number;
  for (const tensor of [keys, values, positions, lengths]) tensor.dispose();
  model.flat().forEach((rows, head) => {
    expect((counts as Uint32Array)[head]).toBe(rows.length);
    const at = head * longest;
    expect([...(p as Uint32Array).subarray(at, at + rows.length)]).toEqual(rows.map(({ position }) => position));
    const stored = (k as Float32Array).subarray(at * headSize, (at + rows.length) * headSize);
    if (cache.dtype === 'f32') expect([...stored]).toEqual(rows.flatMap(({ key }) => [...key]));
  });
}

describe.each(devices)('eviction with %s', (_, device) => {
  it('is followed by truncation to a row that was appended behind it', async () => {
    using cache = KvCache.create(device, { layers: 1, kvHeads, headSize, capacity: 16 });
    const model = emptyModel(1);
    await append(device, cache, model, 6);
    evict(device, cache, choose(model, 3, seededRandom(5)));
    await append(device, cache, model, 2);
    cache.truncate(7);
    for (const rows of model[0] as Row[][]) rows.pop();
    await append(device, cache, model, 1);
    await checkRows(cache, model);
  });

  it.each([
    ['f32', 1],
    ['f16', 2],
  ] as const)(
    'keeps lists per head of %s, batch %i: attention, positions, later tokens',
    async (dtype: CacheDtype, batch) => {
      using cache = KvCache.create(device, { layers: 1, batch, kvHeads, headSize, capacity: 40, dtype });
      const model = emptyModel(batch);
      const random = seededRandom(batch);
      await append(device, cache, model, 17);
      evict(device, cache, choose(model, 9, random));
      await checkRows(cache, model);
      await append(device, cache, model, 1);
      await append(device, cache, model, 3);
      evict(device, cache, choose(model, 5, random), 2);
      await append(device, cache, model, 1);
      expect(cache.capacity).toBe(23);
      cache.reserve(4, 6);
      expect(cache.capacity).toBe(28);
      await append(device, cache, model, 4);
      await checkRows(cache, model);
    },
  );
});

describe('an evicted layer', () => {
  it('frees the memory that it promises', async () => {
    const shape = { kvHeads: 2, headSize: 64 };
    const live = gpu.stats().liveBytes;
    const cache = KvCache.create(gpu, { layers: 1, ...shape, capacity: 512 });
    gpu.tidy(() => {
      const k = gpu.tensor(randomArray(2 * 512 * 64, 1), [1, 2, 512, 64]);
      cache.layer(0).append(k, k);
    });
    cache.advance();
    const full = gpu.stats().liveBytes - live;
    expect(full).toBe(2 * 2 * 512 * 64 * 4);
    gpu.resetPeak();
    gpu.tidy(() => {
      const indices = gpu.tensor(
        Uint32Array.from({ length: 2 * 128 }, (_, index) => 4 * (index % 128)),
        [1, 2, 128],
        'u32',
      );
      cache.layer(0).evict({ indices, room: 0 });
    });
    const kept = 2 * 2 * 128 * 64 * 4 + 4 * 2 * 128 + 4 * 3 * 64;
    expect(cache.bytes).toBe(kept);
    // 131,072 and 1,024 bytes are size classes of the pool; 768 bytes are one as well.
    expect(gpu.stats().liveBytes - live).toBe(kept);
    // Old and new rows, and the lists: no third copy.
    expect(gpu.stats().peakBytes - live).toBeLessThan(full + kept + 8 * 1024);
    cache.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });

  it('never reads an evicted row: with NaN in all of them the output is the same to the bit', async () => {
    const kept = [1, 4, 5];
    const outputs = await Promise.all(
      [false, true].map(async (poisoned) => {
        using cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 8 });
        const shape = [1, kvHeads, 7, headSize];
        const data = randomArray(kvHeads * 7 * headSize, 1);
        if (poisoned) {
          data.set(poisonRows(data, shape, (_, position) => kept.includes(position)));
          expect(data.some(Number.isNaN)).toBe(true);
        }
        const output = gpu.tidy(() => {
          const k = gpu.tensor(data, shape);
          cache.layer(0).append(k, k);
          cache.advance();
          const indices = gpu.tensor([...kept, ...kept], [1, kvHeads, 3], 'u32');
          cache.layer(0).evict({ indices });
          const next = gpu.tensor(randomArray(kvHeads * headSize, 2), [1, kvHeads, 1, headSize]);
          const { keys, values, options } = cache.layer(0).append(next, next);
          const q = gpu.tensor(randomArray(heads * headSize, 3), [1, heads, 1, headSize]);
          return attention(q, keys, values, { causal: true, ...options }).output;
        });
        const result = await output.read();
        output.dispose();
        return [...result];
      }),
    );
    expect(outputs[0]?.every(Number.isFinite)).toBe(true);
    expect(outputs[1]).toEqual(outputs[0]);
  });

  it('holds at most its total, whatever the counts on the device say', async () => {
    using cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 8 });
    const model = emptyModel(1);
    await append(gpu, cache, model, 6);
    gpu.tidy(() => {
      const indices = gpu.tensor([0, 1, 2, 3, 0, 1, 2, 3], [1, kvHeads, 4], 'u32');
      cache.layer(0).evict({ indices, counts: gpu.tensor([3, 9], [1, kvHeads], 'u32'), totals: [5] });
    });
    model[0] = [
      [0, 1, 2],
      [0, 1],
    ].map((list, head) => list.map((index) => model[0]?.[head]?.[index] as Row));
    await checkRows(cache, model);
    await append(gpu, cache, model, 1);
  });

  it('may be evicted from inside a pass, whose own rows count', async () => {
    using cache = KvCache.create(gpu, { layers: 2, kvHeads, headSize, capacity: 16 });
    const model = emptyModel(1);
    await append(gpu, cache, model, 5, false);
    evict(gpu, cache, choose(model, 3, seededRandom(3)));
    gpu.tidy(() => {
      const k = gpu.zeros([1, kvHeads, 5, headSize]);
      cache.layer(1).append(k, k);
      expect(() => cache.begin([2])).toThrow(RefusedError);
    });
    cache.advance();
    expect(cache.length).toBe(5);
    await checkRows(cache, model);
    await append(gpu, cache, model, 1);
  });

  it('forks, is truncated to what it appended, and refuses what is gone', async () => {
    const live = gpu.stats().liveBytes;
    const cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 16 });
    const model = emptyModel(1);
    await append(gpu, cache, model, 8);
    evict(gpu, cache, choose(model, 4, seededRandom(4)));
    const fork = cache.fork();
    const copy = structuredClone(model);
    const alone = gpu.stats().liveBytes;
    await append(gpu, fork, copy, 2);
    expect(gpu.stats().liveBytes).toBeGreaterThan(alone);
    await append(gpu, cache, model, 1);
    fork.truncate(9);
    for (const rows of copy[0] as Row[][]) rows.pop();
    await append(gpu, fork, copy, 1);
    await checkRows(fork, copy);
    await checkRows(cache, model);
    expect(() => fork.truncate(7)).toThrow(/evicted at token 8/);
    expect(() =>
      gpu.tidy(() =>
        cache.layer(0).overwrite(0, gpu.zeros([1, kvHeads, 1, headSize]), gpu.zeros([1, kvHeads, 1, headSize])),
      ),
    ).toThrow(RefusedError);
    cache.dispose();
    fork.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });

  it('joins contiguous ones in a batch of unequal sequences', async () => {
    const models = [emptyModel(1), emptyModel(1)];
    const caches: KvCache[] = [];
    for (const [index, length] of [9, 4].entries()) {
      const cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 16 });
      await append(gpu, cache, models[index] as Model, length);
      caches.push(cache);
    }
    evict(gpu, caches[0] as KvCache, choose(models[0] as Model, 5, seededRandom(5)));
    using batch = KvCache.join([caches[1] as KvCache, caches[0] as KvCache]);
    for (const cache of caches) cache.dispose();
    const model = [models[1]?.[0], models[0]?.[0]] as Model;
    await append(gpu, batch, model, 1);
    // Unequal counts: the table path of ragged storage, also for a sequence without a token.
    batch.begin([0, 2]);
    const { k, v } = grow(model, [[], [10, 11]]);
    gpu.tidy(() =>
      batch.layer(0).append(gpu.tensor(k, [2, kvHeads, 2, headSize]), gpu.tensor(v, [2, kvHeads, 2, headSize])),
    );
    batch.advance();
    await checkRows(batch, model);
    using one = batch.select([1]);
    await append(gpu, one, [model[1] as Row[][]], 1);
  });

  it('comes of layers that cache some tokens of a pass only, windows included', async () => {
    using cache = KvCache.create(gpu, {
      layers: [{ kind: 'contiguous' }, { kind: 'window', window: 4 }],
      kvHeads,
      headSize,
      capacity: 16,
    });
    const model = emptyModel(1);
    await append(gpu, cache, model, 3, false);
    const windowed = (positions: readonly number[]): Tensor =>
      gpu.tensor(
        positions
          .flatMap((position) => new Array<number>(headSize).fill(position + 1))
          .concat(positions.flatMap((position) => new Array<number>(headSize).fill(-position - 1))),
        [1, kvHeads, positions.length, headSize],
      );
    gpu.tidy(() => {
      const k = windowed([0, 1, 2]);
      cache.layer(1).append(k, k);
    });
    cache.advance();
    // Positions 4 and 5 of a pass over 3 to 5.
    const { k, v } = grow(model, [[4, 5]]);
    gpu.tidy(() => {
      const shape = [1, kvHeads, 2, headSize];
      const positions = gpu.tensor([4, 5], [2], 'u32');
      cache.layer(0).append(gpu.tensor(k, shape), gpu.tensor(v, shape), positions);
      const rows = windowed([4, 5]);
      cache.layer(1).append(rows, rows, positions);
    });
    cache.advance(3);
    await checkRows(cache, model);
    await append(gpu, cache, model, 1, false);
    const q = gpu.zeros([1, heads, 1, headSize]);
    const output = gpu.tidy(() => {
      const rows = windowed([6]);
      const { keys, values, options } = cache.layer(1).append(rows, rows);
      return attention(q, keys, values, { causal: true, ...options }).output;
    });
    cache.advance();
    const data = await output.read();
    // A zero query weighs alike the positions 4, 5 and 6: 3 is not cached, 2 is out of the window.
    assertClose([data[0] as number, data[3 * headSize] as number], [6, -6], tolerance);
    for (const tensor of [q, output]) tensor.dispose();
    // A layer that a pass skips keeps its rows.
    gpu.tidy(() => cache.layer(1).append(windowed([7]), windowed([7])));
    cache.advance();
    await append(gpu, cache, model, 1, false);
    expect(() => cache.truncate(4)).toThrow(RefusedError);
  });

  it('keeps its room where it evicts inside a pass, before or after it caches all or some tokens', async () => {
    const kept = () => ({ indices: gpu.tensor([0, 0], [1, kvHeads, 1], 'u32') });
    for (const [before, some] of [
      [true, undefined],
      [false, undefined],
      [false, [7, 9]],
    ] as const) {
      using cache = KvCache.create(gpu, { layers: 2, kvHeads, headSize, capacity: 16 });
      const appendTo = (layer: number, positions?: readonly number[]) =>
        gpu.tidy(() => {
          const k = gpu.zeros([1, kvHeads, positions?.length ?? 6, headSize]);
          cache.layer(layer).append(k, k, positions && gpu.tensor(positions, [positions.length], 'u32'));
        });
      appendTo(0);
      appendTo(1);
      cache.advance();
      appendTo(0);
      if (before) gpu.tidy(() => cache.layer(1).evict(kept()));
      expect(cache.capacity).toBe(16);
      appendTo(1, some);
      if (!before) gpu.tidy(() => cache.layer(1).evict(kept()));
      expect(cache.capacity).toBe(16);
      cache.advance();
      expect(cache.capacity).toBe(16);
    }
  });

  it('cannot go back to rows that it evicted after it cached some tokens', () => {
    using cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 16 });
    gpu.tidy(() => {
      const k = gpu.zeros([1, kvHeads, 2, headSize]);
      cache.layer(0).append(k, k, gpu.tensor([0, 3], [2], 'u32'));
      cache.layer(0).evict({ indices: gpu.tensor([1, 1], [1, kvHeads, 1], 'u32') });
    });
    expect(() => cache.grow(20)).toThrow(RefusedError);
    cache.advance(4);
    cache.grow(20);
    expect(cache.capacity).toBe(20);
  });

  it('gets room when it lacks some, and the others stay where they are', async () => {
    using cache = KvCache.create(gpu, { layers: 2, kvHeads, headSize, capacity: 16 });
    const model = emptyModel(1);
    const both = async (count: number) => {
      await append(gpu, cache, model, count, false);
      gpu.tidy(() => {
        const k = gpu.zeros([1, kvHeads, count, headSize]);
        cache.layer(1).append(k, k);
      });
      cache.advance();
    };
    await both(6);
    evict(gpu, cache, choose(model, 3, seededRandom(2)), 1);
    await both(1);
    expect(cache.capacity).toBe(7);
    const { keys } = cache.layer(1);
    cache.reserve(1, 4);
    expect(cache.capacity).toBe(11);
    expect(cache.layer(1).keys).toBe(keys);
    await both(1);
    await checkRows(cache, model);
  });

  it('rewrites listed rows in place', async () => {
    for (const evicted of [false, true]) {
      using cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 8 });
      const model = emptyModel(1);
      await append(gpu, cache, model, 6);
      if (evicted) evict(gpu, cache, choose(model, 4, seededRandom(9)));
      const rows = [[0], [0]];
      const k = randomArray(kvHeads * headSize, seed++);
      gpu.tidy(() => {
        const shape = [1, kvHeads, 1, headSize];
        cache
          .layer(0)
          .replace(
            { indices: gpu.tensor(rows.flat(), [1, kvHeads, 1], 'u32') },
            gpu.tensor(k, shape),
            gpu.tensor(k, shape),
          );
      });
      model[0]?.forEach((own, head) => {
        const row = k.slice(head * headSize, (head + 1) * headSize);
        own[0] = { ...(own[0] as Row), key: row, value: row };
      });
      await append(gpu, cache, model, 1);
      await checkRows(cache, model);
    }
  });

  it('decodes without making buffers, bind groups or pipelines', async () => {
    using cache = KvCache.create(gpu, { layers: 1, kvHeads, headSize, capacity: 64 });
    const model = emptyModel(1);
    await append(gpu, cache, model, 8);
    evict(gpu, cache, choose(model, 4, seededRandom(6)));
    const q = gpu.tensor(randomArray(heads * headSize, 1), [1, heads, 1, headSize]);
    const k = gpu.tensor(randomArray(kvHeads * headSize, 2), [1, kvHeads, 1, headSize]);
    const step = () => {
      gpu.tidy(() => {
        const { keys, values, options } = cache.layer(0).append(k, k);
        attention(q, keys, values, { causal: true, ...options });
      });
      cache.advance();
    };
    expect(await proveSteady(gpu, step, { steps: 20 })).toBe(20 * 2);
    q.dispose();
    k.dispose();
  });
});

describe('a cache of random operations', () => {
  it.each([1, 2, 3])('equals a plain model, seed %i', async (start) => {
    const random = seededRandom(1000 + start);
    const batch = 1 + (start % 2);
    let cache = KvCache.create(gpu, { layers: 1, batch, kvHeads, headSize, capacity: 12, dtype: 'f32' });
    let model = emptyModel(batch);
    let evictedAt = 0;
    await append(gpu, cache, model, 3);
    for (const choice of randomIntegers(14, start, 6)) {
      if (choice <= 1) {
        const count = 1 + Math.floor(random() * 4);
        cache.reserve(count, 3);
        await append(gpu, cache, model, count);
      } else if (choice === 2) {
        evict(gpu, cache, choose(model, 6, random), Math.floor(random() * 3));
        evictedAt = cache.length;
      } else if (choice === 3) {
        const to = evictedAt + Math.floor(random() * (cache.length - evictedAt + 1));
        for (const rows of model.flat()) rows.splice(rows.length - (cache.length - to));
        cache.truncate(to);
      } else if (choice === 4) {
        const other = cache.fork();
        const copy = structuredClone(model);
        cache.reserve(1);
        await append(gpu, cache, model, 1);
        cache.dispose();
        [cache, model] = [other, copy];
      } else {
        const order = random() < 0.5 ? [0] : Array.from({ length: cache.batch }, (_, index) => cache.batch - 1 - index);
        const other = cache.select(order);
        cache.dispose();
        [cache, model] = [other, order.map((sequence) => model[sequence] as Row[][])];
      }
      if (model.flat().every((rows) => rows.length > 0)) await checkRows(cache, model);
    }
    cache.dispose();
  });
});
