import { ArgumentError, KvCache, type Tensor } from '@saccade/core';
import { randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const [kvHeads, headSize] = [2, 6];

/** A cache of every kind of layer, f16 or f32, with two sequences of unequal length. */
function filled(dtype: 'f32' | 'f16'): KvCache {
  const cache = KvCache.create(gpu, {
    layers: [
      { kind: 'contiguous' },
      { kind: 'contiguous' },
      { kind: 'window', window: 4 },
      { kind: 'state', tensors: { state: { shape: [2, 3] }, ids: { shape: [2, 2], dtype: 'u32' } } },
    ],
    batch: 2,
    kvHeads,
    headSize,
    capacity: 12,
    dtype,
  });
  for (const [step, counts] of [
    [3, 6],
    [1, 1],
  ].entries()) {
    cache.begin(counts);
    gpu.tidy(() => {
      const shape = [2, kvHeads, Math.max(...counts), headSize];
      const upload = (seed: number) =>
        gpu.tensor(
          randomArray(
            shape.reduce((a, b) => a * b),
            10 * step + seed,
          ),
          shape,
        );
      for (const layer of [0, 1, 2]) cache.layer(layer).append(upload(layer), upload(layer + 5));
    });
    cache.advance();
  }
  gpu.tidy(() => {
    const indices = gpu.tensor([0, 2, 1, 3, 0, 5, 2, 6], [2, kvHeads, 2], 'u32');
    cache.layer(1).evict({ indices });
    cache.state(3).set('state', gpu.tensor([1, 2, 3, 4, 5, 6], [2, 3]));
    cache.state(3).set('ids', gpu.tensor([7, 8, 9, 10], [2, 2], 'u32'));
  });
  return cache;
}

async function contentOf(cache: KvCache): Promise<unknown> {
  const rows = gpu.tidy(() => cache.layer(1).padded());
  const tensors: Tensor[] = [rows.keys, rows.values, rows.positions, rows.lengths];
  const data = await gpu.read([...tensors, cache.state(3).get('state'), cache.state(3).get('ids')]);
  for (const tensor of tensors) tensor.dispose();
  return data.map((array) => [...array]);
}

describe.each(['f32', 'f16'] as const)('a saved cache of %s', (dtype) => {
  it('comes back as it was, goes on, and is saved as the same bytes', async () => {
    const live = gpu.stats().liveBytes;
    const cache = filled(dtype);
    const readbacks = gpu.stats().readbacks;
    const bytes = await cache.save();
    expect(gpu.stats().readbacks - readbacks).toBe(1);
    const restored = KvCache.restore(gpu, bytes);
    expect([restored.lengths, restored.capacity, restored.layers, restored.dtype]).toEqual([[4, 7], 12, 4, dtype]);
    expect([0, 1, 2].map((layer) => restored.layer(layer).kind)).toEqual(['contiguous', 'ragged', 'window']);
    expect(await contentOf(restored)).toEqual(await contentOf(cache));
    expect(await restored.save()).toEqual(bytes);
    // Both take the same token, whatever their buffers are.
    for (const each of [cache, restored]) {
      gpu.tidy(() => {
        const k = gpu.tensor(randomArray(2 * kvHeads * headSize, 99), [2, kvHeads, 1, headSize]);
        for (const layer of [0, 1, 2]) each.layer(layer).append(k, k);
      });
      each.advance();
    }
    expect(await restored.save()).toEqual(await cache.save());
    cache.dispose();
    restored.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });
});

describe('a saved cache', () => {
  it('is a safetensors file', async () => {
    using cache = filled('f16');
    const bytes = await cache.save();
    const view = new DataView(bytes.buffer);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + Number(view.getBigUint64(0, true)))));
    expect(header['layers.0.keys']).toMatchObject({ dtype: 'F16', shape: [2, kvHeads, 7, headSize] });
    expect(header['layers.1.positions'].dtype).toBe('U32');
  });

  it('is refused when it is cut, damaged or something else, and nothing stays allocated', async () => {
    const cache = filled('f32');
    const bytes = await cache.save();
    cache.dispose();
    const live = gpu.stats().liveBytes;
    const text = new TextDecoder('latin1').decode(bytes);
    const edited = (change: (text: string) => string) =>
      Uint8Array.from(change(text), (character) => character.charCodeAt(0));
    const damaged = [
      new Uint8Array(3),
      new Uint8Array(64),
      bytes.subarray(0, 100),
      bytes.subarray(0, bytes.length - 8),
      edited((own) => own.replace('kv-cache', 'kv-catch')),
      edited((own) => own.replace('"shape":[2,2,7,6]', '"shape":[2,2,6,6]')),
      edited((own) => own.replace('layers.1.heads', 'layers.1.hoods')),
      edited((own) => own.replace('"U32"', '"U16"')),
      edited((own) => own.replace('\\"version\\":1', '\\"version\\":9')),
      edited((own) => own.replace('\\"batch\\":2', '\\"batch\\":3')),
      edited((own) => own.replace('\\"lengths\\":[4,', '\\"lengths\\":[{,')),
      edited((own) => own.replace('\\"lengths\\":[4,', '\\"lengths\\":[-,').replace('[-,7]', '"ab" ')),
    ];
    // What the host knows of ragged rows: buffers hold fewer, or tokens are more than the text has.
    for (const field of ['room', 'since', 'appended', 'longest', 'total']) {
      damaged.push(edited((own) => own.replace(new RegExp(`(\\\\"${field}\\\\":)\\d`), (_, name) => `${name}9`)));
    }
    for (const [index, file] of damaged.entries()) {
      expect(() => KvCache.restore(gpu, file), `file ${index}`).toThrow(ArgumentError);
    }
    expect(gpu.stats().liveBytes).toBe(live);
  });
});
