import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionOptions,
  attention,
  attentionKeyRows,
  KvCache,
  mergeAttention,
  readLogSumExp,
  ShapeError,
  type Tensor,
} from '../src/index.ts';
import {
  assertClose,
  attentionReference,
  hardwareKernelsGpu,
  modestGpu,
  proveSparse,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

const gpu = await sharedGpu();

/** Positions of a list: every third key from `start` on. */
const everyThird = (start: number, keys: number) =>
  Array.from({ length: keys }, (_, position) => position).filter((position) => position % 3 === start % 3);

describe('mergeAttention', () => {
  const sizes = { batches: 2, heads: 6, kvHeads: 2, queries: 3, headSize: 80 };
  const keys = 41;
  const q = randomArray(2 * 6 * 3 * 80, 1, { scale: 3 });
  const k = randomArray(2 * 2 * keys * 80, 2, { scale: 3 });
  const v = randomArray(2 * 2 * keys * 80, 3);

  it.each([
    ['two', [0, 17, keys]],
    ['five, one of them empty', [0, 1, 9, 9, 30, keys]],
  ])('of %s ranges of keys is attention over all', async (_, bounds) => {
    const expected = attentionReference({ ...sizes, keys, q, k, v });
    const merged = gpu.tidy(() => {
      const query = gpu.tensor(q, [2, 6, 3, 80]);
      const [key, value] = [gpu.tensor(k, [2, 2, keys, 80]), gpu.tensor(v, [2, 2, keys, 80])];
      const partials = bounds.slice(1).map((end, index) => {
        const start = bounds[index] as number;
        // An empty range: the same keys, none of them valid.
        const options = { returnLogSumExp: true, ...(end === start ? { keyLength: 0 } : {}) };
        const [from, to] = end === start ? [0, 1] : [start, end];
        const part = attention(query, key.slice(2, from, to), value.slice(2, from, to), options);
        return { output: part.output, logSumExp: part.logSumExp as Tensor };
      });
      return mergeAttention(partials);
    });
    assertClose(await merged.output.read(), expected.output, { absolute: 2e-6, relative: 1e-5 });
    assertClose(await readLogSumExp(merged.logSumExp), expected.logSumExp, { absolute: 1e-5, relative: 1e-6 });
    merged.output.dispose();
    merged.logSumExp.dispose();
  });

  it('of rows that saw no key is zero', async () => {
    const merged = gpu.tidy(() => {
      const [query, key] = [gpu.tensor(randomArray(32, 1), [1, 2, 1, 16]), gpu.zeros([1, 1, 4, 16])];
      const none = attention(query, key, key, { keyLength: 0, returnLogSumExp: true });
      const partial = { output: none.output, logSumExp: none.logSumExp as Tensor };
      return mergeAttention([partial, partial]);
    });
    expect(await merged.output.read()).toEqual(new Float32Array(32));
    expect(Array.from(await readLogSumExp(merged.logSumExp))).toEqual([
      Number.NEGATIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
    merged.output.dispose();
    merged.logSumExp.dispose();
  });

  it('refuses nothing and unequal shapes', () => {
    expect(() => mergeAttention([])).toThrow(ArgumentError);
    gpu.tidy(() => {
      const partial = { output: gpu.zeros([1, 2, 1, 16]), logSumExp: gpu.zeros([1, 2, 1]) };
      expect(() => mergeAttention([partial, { ...partial, logSumExp: gpu.zeros([1, 2, 2]) }])).toThrow(ShapeError);
    });
  });
});

describe('proofs of sparseness', () => {
  const shape = [2, 2, 150, 32];
  const heads = 6;
  const keys = randomArray(2 * 2 * 150 * 32, 5);
  const values = randomArray(2 * 2 * 150 * 32, 6);

  interface ProofCase {
    readonly name: string;
    readonly queries: number;
    readonly options: AttentionOptions;
    readonly selected: (head: number, position: number) => boolean;
  }
  const cases: ProofCase[] = [
    { name: 'keyLength', queries: 1, options: { keyLength: 101 }, selected: (_, position) => position < 101 },
    {
      name: 'split over keys',
      queries: 1,
      options: { keyLength: 101, plan: { parts: 4 } },
      selected: (_, position) => position < 101,
    },
    {
      name: 'causal with room behind',
      queries: 70,
      options: { causal: true, queryOffset: 9 },
      selected: (_, position) => position < 79,
    },
    {
      name: 'sliding window in decoding',
      queries: 2,
      options: { causal: true, slidingWindow: 21, keyLength: 140 },
      selected: (_, position) => position >= 140 - 2 - 20 && position < 140,
    },
  ];

  /** The options of a case, and what the kernel declares to load, on one device. */
  async function prove(
    device: Awaited<ReturnType<typeof sharedGpu>>,
    { queries, options, selected }: ProofCase,
  ): Promise<void> {
    const q = randomArray(2 * heads * queries * 32, 7);
    const query = device.tensor(q, [2, heads, queries, 32]);
    const rows = device.empty(shape);
    const declaredKeyRows = attentionKeyRows(query, rows, rows, options);
    const run = (k: Tensor, v: Tensor, keyRowCounter?: Tensor) =>
      attention(query, k, v, { ...options, ...(keyRowCounter ? { keyRowCounter } : {}) }).output;
    await proveSparse({ gpu: device, keys, values, shape, selected, run, declaredKeyRows });
    query.dispose();
    rows.dispose();
  }

  for (const proofCase of cases) {
    it(`hold for ${proofCase.name}`, async () => prove(gpu, proofCase));
    it(`hold on WebGPU’s defaults for ${proofCase.name}`, async () => prove(await modestGpu(), proofCase));
  }

  it.each(['queryHead', 'kvHead'] as const)('hold for token lists per %s with several queries', async (per) => {
    const lists = per === 'queryHead' ? heads : 2;
    const listOf = (head: number) => everyThird(head, 120);
    const indices = gpu.tensor(
      Array.from({ length: 2 * lists }, (_, row) => listOf(row % lists)).flat(),
      [2, lists, 40],
      'u32',
    );
    const group = per === 'queryHead' ? 3 : 1;
    await prove(gpu, {
      name: '',
      queries: 5,
      options: { tokens: { indices, per } },
      selected: (head, position) =>
        Array.from({ length: group }, (_, member) => (head % 2) * group + member).some((row) =>
          listOf(row).includes(position),
        ),
    });
    indices.dispose();
  });

  it('fail for a kernel that reads more than is selected or declared', async () => {
    const query = gpu.tensor(randomArray(heads * 32, 7), [1, heads, 1, 32]);
    const run = (k: Tensor, v: Tensor, keyRowCounter?: Tensor) =>
      attention(query, k, v, keyRowCounter ? { keyRowCounter } : {}).output;
    const proof = { gpu, keys: keys.slice(0, 9600), values: values.slice(0, 9600), shape: [1, 2, 150, 32], run };
    const half = (_: number, position: number) => position < 75;
    await expect(proveSparse({ ...proof, selected: half, declaredKeyRows: 300 })).rejects.toThrow(/poisoning/);
    await expect(proveSparse({ ...proof, selected: () => true, declaredKeyRows: 300 })).rejects.toThrow(
      /nothing is proved/,
    );
    const dense = (k: Tensor, v: Tensor, keyRowCounter?: Tensor) =>
      attention(query, k, v, { keyLength: 75, ...(keyRowCounter ? { keyRowCounter } : {}) }).output;
    await expect(proveSparse({ ...proof, run: dense, selected: half, declaredKeyRows: 149 })).rejects.toThrow(
      /counting: 150/,
    );
    query.dispose();
  });
});

describe('token lists', () => {
  const q = randomArray(4 * 16, 1);
  const k = randomArray(2 * 20 * 16, 2);
  const v = randomArray(2 * 20 * 16, 3);

  it('longer than the cache, counted on the device, ignore entries past the count and past the keys', async () => {
    const lists = [
      [3, 1, 0xffffffff, 19, 7],
      [0, 2, 4, 6, 8],
    ];
    const output = gpu.tidy(() => {
      const indices = gpu.tensor(
        lists.flatMap((list) => [...list, ...new Array(25).fill(5)]),
        [1, 2, 30],
        'u32',
      );
      const counts = gpu.tensor([5, 3], [1, 2], 'u32');
      return attention(gpu.tensor(q, [1, 4, 1, 16]), gpu.tensor(k, [1, 2, 20, 16]), gpu.tensor(v, [1, 2, 20, 16]), {
        keyLength: 19,
        tokens: { indices, counts, per: 'kvHead' },
      }).output;
    });
    const tokens = (_: number, head: number) => (head < 2 ? [3, 1, 7] : [0, 2, 4]);
    const sizes = { batches: 1, heads: 4, kvHeads: 2, queries: 1, keys: 20, headSize: 16 };
    const expected = attentionReference({ ...sizes, q, k, v, keyLength: 19, tokens });
    assertClose(await output.read(), expected.output, { absolute: 1e-6, relative: 1e-5 });
    output.dispose();
  });
});

describe('kernels of hardware adapters', () => {
  it.each([
    ['prefill', 70],
    ['decode', 1],
  ])('agree with f64 in %s', async (_, queries) => {
    const hardware = await hardwareKernelsGpu();
    const sizes = { batches: 1, heads: 2, kvHeads: 1, queries, keys: 200, headSize: 16 };
    const [q, k, v] = [randomArray(2 * queries * 16, 1), randomArray(200 * 16, 2), randomArray(200 * 16, 3)];
    const output = hardware.tidy(
      () =>
        attention(
          hardware.tensor(q, [1, 2, queries, 16]),
          hardware.tensor(k, [1, 1, 200, 16]),
          hardware.tensor(v, [1, 1, 200, 16]),
          {
            causal: true,
          },
        ).output,
    );
    const expected = attentionReference({ ...sizes, q, k, v, causal: true });
    assertClose(await output.read(), expected.output, { absolute: 1e-6, relative: 1e-5 });
    output.dispose();
  });
});

describe('a decode loop', () => {
  it('of 1,000 steps creates no buffer, bind group or pipeline and keeps live bytes', async () => {
    const layers = 2;
    const [heads, kvHeads, headSize, capacity] = [6, 2, 32, 1100];
    using cache = KvCache.create(gpu, { layers, kvHeads, headSize, capacity });
    const row = gpu.tensor(randomArray(heads * headSize, 1), [1, heads, 1, headSize]);
    const kv = gpu.tensor(randomArray(kvHeads * headSize, 2), [1, kvHeads, 1, headSize]);
    const list = gpu.tensor(
      Array.from({ length: kvHeads * 40 }, (_, index) => index % 40),
      [1, kvHeads, 40],
      'u32',
    );
    const step = () => {
      for (let layer = 0; layer < layers; layer++) {
        gpu.tidy(() => {
          const layerCache = cache.layer(layer);
          layerCache.append(kv, kv);
          const options = { causal: true, keyLength: cache.length + 1 };
          attention(row, layerCache.keys, layerCache.values, options);
          attention(row, layerCache.keys, layerCache.values, { ...options, tokens: { indices: list, per: 'kvHead' } });
        });
      }
      cache.advance(1);
    };
    for (let warm = 0; warm < 3; warm++) step();
    await gpu.synchronize();
    const before = gpu.stats();
    for (let count = 0; count < 1000; count++) {
      step();
      if (count % 100 === 0) await gpu.synchronize();
    }
    await gpu.synchronize();
    const after = gpu.stats();
    expect(after.buffersCreated).toBe(before.buffersCreated);
    expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
    expect(after.pipelinesCreated).toBe(before.pipelinesCreated);
    expect(after.liveBytes).toBe(before.liveBytes);
    // Split over keys, since the capacity asks for it: two dispatches; lists of 40 take one, and appending takes one.
    expect(after.dispatches - before.dispatches).toBe(1000 * layers * (1 + 2 + 1));
    for (const tensor of [row, kv, list]) tensor.dispose();
  });
});
