import { ArgumentError, attention, type Gpu, KvCache, RefusedError, ShapeError, type Tensor } from '@saccade/core';
import { assertClose, attentionReference, modestGpu, proveSteady, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const devices = [
  ['every feature', gpu],
  ['WebGPU defaults', await modestGpu()],
] as const;

const [heads, kvHeads, headSize] = [4, 2, 20];
const tolerance = { absolute: 1e-5, relative: 1e-4 };

/** A token's row of one head: the same wherever it is made. */
function row(seed: number, sequence: number, head: number, position: number): Float32Array {
  return randomArray(headSize, seed + 7919 * sequence + 104729 * head + 31 * position);
}

/** Rows of tokens [start, start + count) of several sequences: [sequences, heads, count, D]. */
function rows(
  seed: number,
  count: number,
  each: readonly { readonly sequence: number; readonly start: number }[],
  headCount: number,
): Float32Array {
  const parts = each.flatMap(({ sequence, start }) =>
    Array.from({ length: headCount }, (_, head) =>
      Array.from({ length: count }, (_, index) => [...row(seed, sequence, head, start + index)]),
    ),
  );
  return Float32Array.from(parts.flat(2));
}

/** Attention of one sequence's tokens [start, start + count) over all its tokens so far. */
function expected(sequence: number, start: number, count: number, slidingWindow?: number): Float64Array {
  const one = (from: number) => [{ sequence, start: from }];
  const keys = start + count;
  return attentionReference({
    batches: 1,
    heads,
    kvHeads,
    queries: count,
    keys,
    headSize,
    q: rows(1, count, one(start), heads),
    k: rows(2, keys, one(0), kvHeads),
    v: rows(3, keys, one(0), kvHeads),
    causal: true,
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
  }).output;
}

/** Appends tokens to every layer, all counts alike or `begin`ed and padded; returns the attention output of each layer. */
async function pass(device: Gpu, cache: KvCache, counts: readonly number[], first = 0): Promise<Float32Array[]> {
  const count = Math.max(...counts);
  const each = cache.lengths.map((start, index) => ({ sequence: first + index, start }));
  if (counts.some((own) => own !== count)) cache.begin(counts);
  const outputs = device.tidy(() => {
    const upload = (seed: number, headCount: number) =>
      device.tensor(rows(seed, count, each, headCount), [cache.batch, headCount, count, headSize]);
    const [q, k, v] = [upload(1, heads), upload(2, kvHeads), upload(3, kvHeads)] as [Tensor, Tensor, Tensor];
    return Array.from({ length: cache.layers }, (_, layer) => {
      const { keys, values, options } = cache.layer(layer).append(k, v);
      return attention(q, keys, values, { causal: true, ...options }).output;
    });
  });
  cache.advance();
  const data = (await device.read(outputs)) as Float32Array[];
  for (const output of outputs) output.dispose();
  return data;
}

/** Compares the outputs of a pass, [B, H, N, D], with attention over all tokens. */
function check(
  outputs: Float32Array,
  starts: readonly number[],
  counts: readonly number[],
  window?: number,
  first = 0,
) {
  const most = Math.max(...counts);
  starts.forEach((start, index) => {
    const count = counts[index] as number;
    if (count === 0) return;
    const actual = Array.from({ length: heads }, (_, head) => {
      const from = (index * heads + head) * most * headSize;
      return [...outputs.subarray(from, from + count * headSize)];
    }).flat();
    assertClose(actual, expected(first + index, start, count, window), tolerance);
  });
}

describe.each(devices)('cache layers with %s', (_, device) => {
  it('a window layer equals dense attention with a sliding window, over any passes', async () => {
    const windows = [1, 5, 8];
    using cache = KvCache.create(device, {
      layers: [...windows.map((window) => ({ kind: 'window', window }) as const), { kind: 'contiguous' }],
      kvHeads,
      headSize,
      capacity: 64,
    });
    for (const count of [3, 7, 1, 1, 12, 1, 2]) {
      const start = cache.length;
      const outputs = await pass(device, cache, [count]);
      for (const [layer, window] of [...windows, undefined].entries()) {
        check(outputs[layer] as Float32Array, [start], [count], window);
      }
    }
    expect(cache.layer(1).bytes).toBe(2 * kvHeads * 5 * headSize * 4);
  });

  it('sequences of different lengths append at their own positions', async () => {
    using cache = KvCache.create(device, {
      layers: [{ kind: 'contiguous' }, { kind: 'window', window: 4 }],
      batch: 3,
      kvHeads,
      headSize,
      capacity: 16,
    });
    for (const counts of [
      [2, 5, 1],
      [1, 1, 1],
      [0, 6, 2],
      [1, 1, 1],
      [3, 0, 1],
    ]) {
      const starts = cache.lengths;
      const [dense, windowed] = (await pass(device, cache, counts)) as [Float32Array, Float32Array];
      check(dense, starts, counts);
      check(windowed, starts, counts, 4);
    }
    expect(cache.lengths).toEqual([7, 13, 6]);
    expect(cache.length).toBe(13);
  });

  it('caches join into a batch, which loses sequences again', async () => {
    const options = {
      layers: [{ kind: 'contiguous' }, { kind: 'window', window: 3 }] as const,
      kvHeads,
      headSize,
      capacity: 9,
    };
    const alone = [4, 1, 6].map((length, sequence) => {
      const cache = KvCache.create(device, options);
      return { cache, length, sequence };
    });
    for (const { cache, length, sequence } of alone) await pass(device, cache, [length], sequence);
    using batch = KvCache.join(
      alone.map(({ cache }) => cache),
      12,
    );
    for (const { cache } of alone) cache.dispose();
    const [dense, windowed] = (await pass(device, batch, [1, 1, 1])) as [Float32Array, Float32Array];
    check(dense, [4, 1, 6], [1, 1, 1]);
    check(windowed, [4, 1, 6], [1, 1, 1], 3);
    using rest = batch.select([1, 2]);
    expect(rest.lengths).toEqual([2, 7]);
    const [next] = (await pass(device, rest, [1, 1], 1)) as [Float32Array, Float32Array];
    check(next, [2, 7], [1, 1], undefined, 1);
  });
});

describe('a batch', () => {
  it('takes rows packed one sequence after the other, with their positions', async () => {
    using cache = KvCache.create(gpu, { layers: 1, batch: 3, kvHeads, headSize, capacity: 8 });
    await pass(gpu, cache, [2, 3, 1]);
    const counts = [1, 3, 2];
    const starts = cache.lengths;
    const opened = cache.begin(counts);
    const packed = (seed: number, headCount: number): Tensor => {
      const parts = starts.map((start, sequence) =>
        rows(seed, counts[sequence] as number, [{ sequence, start }], headCount),
      );
      // Heads in front: [1, heads, tokens, D].
      const perHead = Array.from({ length: headCount }, (_, head) =>
        parts.flatMap((part, sequence) => {
          const size = (counts[sequence] as number) * headSize;
          return [...part.subarray(head * size, (head + 1) * size)];
        }),
      );
      return gpu.tensor(perHead.flat(), [1, headCount, opened.rows, headSize]);
    };
    expect([...(await opened.positions.read())]).toEqual([2, 3, 4, 5, 1, 2]);
    gpu.tidy(() => cache.layer(0).append(packed(2, kvHeads), packed(3, kvHeads)));
    cache.advance();
    const last = await pass(gpu, cache, [1, 1, 1]);
    check(last[0] as Float32Array, [3, 6, 3], [1, 1, 1]);
  });

  it('of unequal sequences decodes without making buffers, bind groups or pipelines', async () => {
    using cache = KvCache.create(gpu, {
      layers: [{ kind: 'contiguous' }, { kind: 'window', window: 4 }],
      batch: 2,
      kvHeads,
      headSize,
      capacity: 64,
    });
    await pass(gpu, cache, [3, 5]);
    const q = gpu.tensor(randomArray(2 * heads * headSize, 1), [2, heads, 1, headSize]);
    const k = gpu.tensor(randomArray(2 * kvHeads * headSize, 2), [2, kvHeads, 1, headSize]);
    const step = () => {
      gpu.tidy(() => {
        for (let layer = 0; layer < 2; layer++) {
          const { keys, values, options } = cache.layer(layer).append(k, k);
          attention(q, keys, values, { causal: true, ...options });
        }
      });
      cache.advance();
    };
    await proveSteady(gpu, step, { steps: 30 });
    q.dispose();
    k.dispose();
  });

  it('refuses counts and rows that do not fit, by name', () => {
    using cache = KvCache.create(gpu, { layers: 1, batch: 2, kvHeads, headSize, capacity: 4 });
    using other = KvCache.create(gpu, { layers: 1, kvHeads: 1, headSize, capacity: 4 });
    expect(() => cache.begin([1])).toThrow(/counts/);
    expect(() => cache.begin([1, 5])).toThrow(/holds 4 tokens; 5 are needed/);
    expect(() => cache.advance()).toThrow(ArgumentError);
    cache.begin([1, 3]);
    gpu.tidy(() => {
      const k = gpu.zeros([2, kvHeads, 2, headSize]);
      expect(() => cache.layer(0).append(k, k)).toThrow(ShapeError);
    });
    expect(() => cache.advance(1)).toThrow(/number that was appended/);
    expect(() => KvCache.join([cache, other])).toThrow(/layers alike/);
    expect(() => cache.select([2])).toThrow(ArgumentError);
  });
});

describe('going back', () => {
  it('works in a window until it has moved on', async () => {
    using cache = KvCache.create(gpu, { layers: [{ kind: 'window', window: 6 }], kvHeads, headSize, capacity: 64 });
    await pass(gpu, cache, [5]);
    cache.truncate(3);
    check((await pass(gpu, cache, [2]))[0] as Float32Array, [3], [2], 6);
    await pass(gpu, cache, [2]);
    expect(() => cache.truncate(6)).toThrow(RefusedError);
    expect(() => cache.truncate(6)).toThrow(/layer 0.*window of 6/);
    cache.truncate(7);
    expect(cache.length).toBe(7);
  });

  it('is refused by a recurrent state, which forks share and zeros begin', async () => {
    const live = gpu.stats().liveBytes;
    const cache = KvCache.create(gpu, {
      layers: [{ kind: 'state', tensors: { state: { shape: [1, 3] }, tail: { shape: [1, 2], dtype: 'u32' } } }],
      kvHeads,
      headSize,
      capacity: 8,
    });
    const state = cache.state(0);
    expect(cache.bytes).toBe(4 * 5);
    expect([...(await state.get('state').read())]).toEqual([0, 0, 0]);
    gpu.tidy(() => state.set('state', gpu.tensor([1, 2, 3], [1, 3])));
    cache.advance(2);
    const alone = gpu.stats().liveBytes;
    const fork = cache.fork();
    expect(gpu.stats().liveBytes).toBe(alone);
    gpu.tidy(() => fork.state(0).set('state', gpu.tensor([4, 5, 6], [1, 3])));
    expect([...(await state.get('state').read())]).toEqual([1, 2, 3]);
    expect(() => cache.truncate(1)).toThrow(RefusedError);
    const joined = KvCache.join([cache, fork]);
    expect([...(await joined.state(0).get('state').read())]).toEqual([1, 2, 3, 4, 5, 6]);
    cache.truncate(0);
    expect([...(await state.get('state').read())]).toEqual([0, 0, 0]);
    expect(() => state.set('other', state.get('state'))).toThrow(/state, tail/);
    expect(() => cache.layer(0)).toThrow(/keeps a state/);
    for (const each of [cache, fork, joined]) each.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });
});
