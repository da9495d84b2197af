import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionOptions,
  type AttentionPlanOverride,
  attention,
  cast,
  type Gpu,
  gpuFromDevice,
  readLogSumExp,
  ShapeError,
  type Tensor,
} from '../src/index.ts';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionReference,
  countKeyRows,
  modestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

/** Shapes and mask, and how the engine is to run them. */
interface Run
  extends Pick<AttentionReferenceInput, 'batches' | 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize'>,
    Pick<AttentionReferenceInput, 'scale' | 'causal' | 'slidingWindow'> {
  readonly name: string;
  readonly queryOffset?: number;
  /** Valid keys and queries of each batch entry; default all. */
  readonly keyLengths?: readonly number[];
  readonly queryLengths?: readonly number[];
  /** Positions that each (batch, query head) may attend to; default all. */
  readonly tokens?: readonly (readonly number[])[];
  readonly plan?: AttentionPlanOverride;
  /** Size of the logits' inputs; large ones make softmax nearly one-hot. */
  readonly magnitude?: number;
  /** Keys and values stand in the first rows of a larger buffer whose rest is NaN. */
  readonly capacity?: number;
  /** Lists are kept per key/value head; then `tokens` must agree within a group. */
  readonly per?: 'queryHead' | 'kvHead';
  readonly dtype?: 'f32' | 'f16';
  /** Lengths are handed over as tensors. */
  readonly deviceLengths?: boolean;
}

const base: Run = { name: '', batches: 1, heads: 6, kvHeads: 2, queries: 1, keys: 67, headSize: 64 };

/** Distinct positions for each head. */
function lists(run: Run, count: number, seed: number): number[][] {
  const per = run.per === 'kvHead' ? run.heads / run.kvHeads : 1;
  return Array.from({ length: run.batches * run.heads }, (_, row) => {
    const order = randomArray(run.keys, seed + Math.floor(row / per));
    return Array.from({ length: run.keys }, (_, position) => position)
      .sort((a, b) => (order[a] as number) - (order[b] as number))
      .slice(0, count);
  });
}

function optionsOf(gpu: Gpu, run: Run): AttentionOptions {
  const length = (values: readonly number[] | undefined) => {
    if (!values) return undefined;
    const uniform = values.every((value) => value === values[0]);
    return uniform && !run.deviceLengths ? values[0] : gpu.tensor(values, [values.length], 'u32');
  };
  const keyLength = length(run.keyLengths);
  const queryLength = length(run.queryLengths);
  const group = run.per === 'kvHead' ? run.heads / run.kvHeads : 1;
  const rows = run.tokens?.filter((_, row) => row % group === 0);
  return {
    ...(run.scale === undefined ? {} : { scale: run.scale }),
    ...(run.causal === undefined ? {} : { causal: run.causal }),
    ...(run.slidingWindow === undefined ? {} : { slidingWindow: run.slidingWindow }),
    ...(run.queryOffset === undefined ? {} : { queryOffset: run.queryOffset }),
    ...(keyLength === undefined ? {} : { keyLength }),
    ...(queryLength === undefined ? {} : { queryLength }),
    ...(run.plan ? { plan: run.plan } : {}),
    ...(rows
      ? {
          tokens: {
            indices: gpu.tensor(rows.flat(), [run.batches, run.heads / group, rows[0]?.length ?? 0], 'u32'),
            per: run.per ?? 'queryHead',
          },
        }
      : {}),
  };
}

async function check(gpu: Gpu, run: Run): Promise<void> {
  const { batches, heads, kvHeads, queries, keys, headSize, magnitude = 1, capacity = keys } = run;
  const q = randomArray(batches * heads * queries * headSize, 1, { scale: magnitude });
  const kvSize = batches * kvHeads * keys * headSize;
  const k = randomArray(kvSize, 2, { scale: magnitude });
  const v = randomArray(kvSize, 3);
  const { tokens, keyLengths: keyLength, queryLengths: queryLength } = run;
  const expected = attentionReference({
    ...run,
    q,
    k,
    v,
    ...(keyLength ? { keyLength } : {}),
    ...(queryLength ? { queryLength } : {}),
    tokens: tokens ? (batch: number, head: number) => tokens[batch * heads + head] as readonly number[] : undefined,
  } as AttentionReferenceInput);
  const inBuffer = (rows: Float32Array) => {
    const wide = new Float32Array(batches * kvHeads * capacity * headSize).fill(Number.NaN);
    for (let head = 0; head < batches * kvHeads; head++) {
      wide.set(rows.subarray(head * keys * headSize, (head + 1) * keys * headSize), head * capacity * headSize);
    }
    return wide;
  };
  const results = gpu.tidy(() => {
    const upload = (rows: Float32Array) => {
      const tensor = gpu.tensor(inBuffer(rows), [batches, kvHeads, capacity, headSize]);
      return run.dtype === 'f16' ? cast(tensor, 'f16') : tensor;
    };
    const keyLengths = run.keyLengths ?? (capacity > keys ? new Array<number>(batches).fill(keys) : undefined);
    const options = optionsOf(gpu, { ...run, ...(keyLengths ? { keyLengths } : {}) });
    const query = gpu.tensor(q, [batches, heads, queries, headSize]);
    const { output, logSumExp, rowMaximum } = attention(query, upload(k), upload(v), {
      ...options,
      returnLogSumExp: true,
      returnRowMaximum: true,
    });
    return [output, logSumExp as Tensor, rowMaximum as Tensor] as const;
  });
  const half = run.dtype === 'f16' ? 2e-3 : 0;
  const [output, logSumExp, rowMaximum] = results;
  expect(output.shape).toEqual([batches, heads, queries, headSize]);
  assertClose(await output.read(), expected.output, {
    absolute: 2e-5 * magnitude + half,
    relative: 1e-4,
    name: 'output',
  });
  const scores = { absolute: 1e-5 * magnitude ** 2 + 4 * half, relative: 1e-5 };
  assertClose(await readLogSumExp(logSumExp), expected.logSumExp, { ...scores, name: 'log-sum-exp' });
  assertClose(await readLogSumExp(rowMaximum), expected.rowMaximum, { ...scores, name: 'row maximum' });
  for (const tensor of results) tensor.dispose();
}

const runs: Run[] = [
  { ...base, name: 'decode' },
  { ...base, name: 'decode in a larger buffer of NaN', capacity: 128 },
  { ...base, name: 'one key', keys: 1 },
  { ...base, name: 'multi-query attention', heads: 9, kvHeads: 1 },
  { ...base, name: 'multi-head attention', heads: 3, kvHeads: 3 },
  { ...base, name: 'causal prefill', queries: 65, keys: 65, causal: true },
  { ...base, name: 'causal chunk behind a cache', queries: 17, keys: 130, causal: true },
  { ...base, name: 'bidirectional', queries: 33, keys: 17 },
  { ...base, name: 'causal with more queries than keys: rows that see nothing', queries: 9, keys: 5, causal: true },
  { ...base, name: 'an offset of its own', queries: 5, keys: 40, causal: true, queryOffset: 11 },
  { ...base, name: 'sliding window', queries: 70, keys: 70, causal: true, slidingWindow: 13 },
  { ...base, name: 'sliding window in decoding', keys: 90, causal: true, slidingWindow: 20 },
  {
    ...base,
    name: 'ragged batch',
    batches: 3,
    queries: 5,
    keys: 40,
    causal: true,
    keyLengths: [40, 7, 1],
    queryLengths: [5, 3, 1],
    deviceLengths: true,
  },
  { ...base, name: 'nothing valid', batches: 2, keys: 9, keyLengths: [0, 9], deviceLengths: true },
  { ...base, name: 'large logits', queries: 4, keys: 50, magnitude: 100 },
  { ...base, name: 'a scale of its own', scale: 0.3 },
  {
    ...base,
    name: 'split over keys',
    keys: 2100,
    heads: 3,
    kvHeads: 1,
    headSize: 16,
    plan: { layout: 'features', parts: 3 },
  },
  ...[16, 32, 80, 96, 112, 128, 256].flatMap((headSize): Run[] => [
    { ...base, name: `head size ${headSize}, decode`, headSize, keys: 37 },
    {
      ...base,
      name: `head size ${headSize}, prefill`,
      headSize,
      heads: 2,
      kvHeads: 1,
      queries: 19,
      keys: 19,
      causal: true,
    },
  ]),
  { ...base, name: 'a head size of 18', headSize: 18, keys: 37 },
];

const listRuns: Run[] = (['queryHead', 'kvHead'] as const).flatMap((per) => {
  const listed = (name: string, change: Partial<Run>, count: number): Run => {
    const run: Run = { ...base, ...change, per, name: `${name}, per ${per}` };
    return { ...run, tokens: lists(run, count, 7) };
  };
  return [
    listed('token list', {}, 21),
    listed('token list of one', {}, 1),
    listed('token list of all keys', {}, 67),
    listed('token list with causal queries', { queries: 6, causal: true }, 30),
    listed('token list in a batch', { batches: 2, keys: 40 }, 13),
    listed('token list with entries past the valid keys', { keyLengths: [31] }, 40),
    listed('token list with a split', { keys: 300, plan: { layout: 'features', parts: 2 } }, 150),
  ];
});

describe('attention', () => {
  for (const run of [...runs, ...listRuns]) {
    it(run.name, async () => check(await sharedGpu(), run));
  }

  // One of each kind: the modest device compiles every variant anew.
  const kinds = [
    'decode',
    'causal prefill',
    'sliding window',
    'ragged batch',
    'large logits',
    'token list, per',
    'token list with causal',
  ];
  for (const run of [...runs, ...listRuns].filter(({ name }) =>
    kinds.some((kind) => name.startsWith(kind) && !name.includes('buffer')),
  )) {
    it(`on WebGPU’s defaults: ${run.name}`, async () => check(await modestGpu(), run));
  }

  for (const plan of [
    { layout: 'rows', access: 'staged' },
    { layout: 'features', access: 'staged' },
    { layout: 'features', access: 'staged', parts: 2 },
  ] satisfies AttentionPlanOverride[]) {
    for (const queries of [1, 7]) {
      it(`variant ${JSON.stringify(plan)} with ${queries} queries`, async () => {
        await check(await sharedGpu(), { ...base, name: '', queries, keys: 130, causal: true, plan });
      });
    }
  }

  // Two and a half workgroups of one and of several rows per invocation; a subgroup of eight is the least that broadcasts.
  for (const [sharedRows, headSize] of [
    [8, 64],
    [16, 20],
    [32, 7],
  ] as const) {
    it(`rows by subgroups, ${sharedRows} rows of ${headSize}`, async () => {
      const gpu = await sharedGpu();
      if (gpu.capabilities.subgroupMaxSize !== 8) return;
      const plan = { layout: 'rows', access: 'subgroup', sharedRows } as const;
      await check(gpu, { ...base, name: '', headSize, queries: sharedRows, keys: 45, causal: true, plan });
    });
  }

  it('rows by subgroups in workgroups of 64, as devices with wider subgroups take them', async () => {
    const { device, capabilities } = await sharedGpu();
    if (capabilities.subgroupMinSize !== 8) return;
    const adapterInfo = { subgroupMinSize: 8, subgroupMaxSize: 32 } as GPUAdapterInfo;
    const gpu = gpuFromDevice(device, { adapterInfo, poison: true });
    const plan = { layout: 'rows', access: 'subgroup', sharedRows: 128 } as const;
    await check(gpu, { ...base, name: '', headSize: 12, queries: 50, keys: 70, causal: true, plan });
  });

  it('scores that rise and fall by more than a tile’s maxima may lag', async () => {
    const gpu = await sharedGpu();
    for (const step of [0.05, -0.05, 5]) {
      const keys = 70;
      const size = [1, 1, keys, 8];
      const rising = Float32Array.from({ length: keys * 8 }, (_, index) =>
        index % 8 === 0 ? step * Math.floor(index / 8) : 0,
      );
      const ones = new Float32Array(keys * 8).fill(1);
      const { output, logSumExp, rowMaximum } = attention(
        gpu.tensor(ones, size),
        gpu.tensor(rising, size),
        gpu.tensor(rising, size),
        { scale: 1, returnLogSumExp: true, returnRowMaximum: true },
      );
      const scores = Array.from({ length: keys }, (_, key) => step * key);
      const most = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - most));
      const sum = weights.reduce((a, b) => a + b, 0);
      const mean = weights.reduce((total, weight, key) => total + weight * (scores[key] as number), 0) / sum;
      assertClose(
        (await output.read()).filter((_, index) => index % 8 === 0),
        new Array(keys).fill(mean),
        {
          absolute: 1e-5,
          relative: 1e-5,
        },
      );
      assertClose(await (logSumExp as Tensor).read(), new Array(keys).fill(most + Math.log(sum)), {
        absolute: 2e-6,
        relative: 1e-6,
      });
      assertClose(await (rowMaximum as Tensor).read(), new Array(keys).fill(most), { absolute: 0, relative: 1e-6 });
      for (const tensor of [output, logSumExp, rowMaximum]) tensor?.dispose();
    }
  });

  for (const queries of [1, 20]) {
    it(`keys and values in f16, ${queries} queries`, async () => {
      const gpu = await sharedGpu();
      if (!gpu.capabilities.f16) return;
      await check(gpu, { ...base, name: '', queries, causal: true, dtype: 'f16' });
    });
  }

  it('random shapes', async () => {
    const gpu = await sharedGpu();
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          kvHeads: fc.integer({ min: 1, max: 3 }),
          group: fc.integer({ min: 1, max: 4 }),
          queries: fc.integer({ min: 1, max: 70 }),
          keys: fc.integer({ min: 1, max: 140 }),
          causal: fc.boolean(),
        }),
        async ({ kvHeads, group, ...rest }) => {
          await check(gpu, { ...base, ...rest, name: '', kvHeads, heads: kvHeads * group, headSize: 32 });
        },
      ),
      { numRuns: 20, seed: 1 },
    );
  });

  it('agrees with PyTorch’s scaled_dot_product_attention', async () => {
    const gpu = await sharedGpu();
    const golden = goldenTensors('ops');
    for (const name of ['causal', 'causal_offset', 'causal_80', 'one_query', 'full', 'large']) {
      const [q, k, v, expected, lse] = ['q', 'k', 'v', 'out', 'lse'].map((part) => golden(`attention.${name}.${part}`));
      const result = gpu.tidy(() => {
        const [query, key, value] = [q, k, v].map((tensor) => gpu.tensor(tensor?.data ?? [], tensor?.shape ?? []));
        const causal = name !== 'full';
        const { output, logSumExp } = attention(query as Tensor, key as Tensor, value as Tensor, {
          causal,
          returnLogSumExp: true,
        });
        return [output, logSumExp as Tensor] as const;
      });
      assertClose(await result[0].read(), expected?.data ?? [], { absolute: 5e-5, name });
      assertClose(await readLogSumExp(result[1]), lse?.data ?? [], { absolute: 1e-4, relative: 1e-5, name });
      for (const tensor of result) tensor.dispose();
    }
  });
});

describe('sparse proofs', () => {
  for (const per of ['queryHead', 'kvHead'] as const) {
    it(`reads no row outside the lists, and each listed row once: per ${per}`, async () => {
      const gpu = await sharedGpu();
      const run: Run = { ...base, name: '', keys: 200, per };
      const tokens = lists(run, 24, 3);
      const shape = [1, run.kvHeads, run.keys, run.headSize];
      const [k, v] = [2, 3].map((seed) => randomArray(run.kvHeads * run.keys * run.headSize, seed)) as [
        Float32Array,
        Float32Array,
      ];
      const q = randomArray(run.heads * run.headSize, 1);
      const group = run.heads / run.kvHeads;
      const kept = (head: number, position: number) =>
        tokens.some((list, row) => Math.floor(row / group) === head && list.includes(position));
      const output = async (keys: Float32Array, values: Float32Array) => {
        const result = gpu.tidy(() => {
          const [query, key, value] = [
            gpu.tensor(q, [1, run.heads, 1, run.headSize]),
            gpu.tensor(keys, shape),
            gpu.tensor(values, shape),
          ];
          return attention(query, key, value, optionsOf(gpu, { ...run, tokens })).output;
        });
        const data = await result.read();
        result.dispose();
        return data;
      };
      const poisoned = await output(poisonRows(k, shape, kept), poisonRows(v, shape, kept));
      expect(poisoned).toEqual(await output(k, v));
      const counted = await countKeyRows(gpu, (keyRowCounter) => {
        const [query, key, value] = [
          gpu.tensor(q, [1, run.heads, 1, run.headSize]),
          gpu.tensor(k, shape),
          gpu.tensor(v, shape),
        ];
        attention(query, key, value, { ...optionsOf(gpu, { ...run, tokens }), keyRowCounter });
      });
      expect(counted).toBe((per === 'queryHead' ? run.heads : run.kvHeads) * 24);
    });
  }

  it('a dense decode step loads every row once per key/value head', async () => {
    const gpu = await sharedGpu();
    const counted = await countKeyRows(gpu, (keyRowCounter) => {
      const [query, rows] = [gpu.zeros([1, 6, 1, 64]), gpu.zeros([1, 2, 90, 64])];
      attention(query, rows, rows, { keyRowCounter, keyLength: 77 });
    });
    expect(counted).toBe(2 * 77);
  });
});

describe('wrong input', () => {
  it('is refused with what was given', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const q = gpu.zeros([1, 4, 1, 16]);
      const k = gpu.zeros([1, 2, 8, 16]);
      expect(() => attention(q, gpu.zeros([1, 3, 8, 16]), gpu.zeros([1, 3, 8, 16]))).toThrow(ShapeError);
      expect(() => attention(q, k, gpu.zeros([1, 2, 9, 16]))).toThrow(ShapeError);
      expect(() => attention(q, gpu.zeros([1, 2, 8, 32]), gpu.zeros([1, 2, 8, 32]))).toThrow(ShapeError);
      expect(() => attention(q, k, k, { keyLength: 9 })).toThrow(ArgumentError);
      expect(() => attention(q, k, k, { slidingWindow: 0 })).toThrow(ArgumentError);
      const indices = gpu.zeros([1, 3, 2], 'u32');
      expect(() => attention(q, k, k, { tokens: { indices, per: 'kvHead' } })).toThrow(ShapeError);
    });
  });
});
