import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  add,
  attention,
  attentionStatistics,
  attentionStatisticsCost,
  cast,
  type Gpu,
  type Mask,
  ShapeError,
  type StatisticsRequest,
  type Tensor,
} from '../src/index.ts';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionProbabilities,
  blockMeanReference,
  entropyReference,
  expectationReference,
  type HostMask,
  keyMassReference,
  keySetMassReference,
  modestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';
import { deviceModifier } from './attention-case.ts';

/** Shapes and mask of one case. */
interface Case
  extends Pick<AttentionReferenceInput, 'batches' | 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize'>,
    Pick<AttentionReferenceInput, 'scale' | 'causal' | 'slidingWindow' | 'scoreModifiers' | 'keyMultipliers'> {
  readonly queryOffset?: number;
  /** Valid keys of each batch entry or of each key/value head, and valid queries, handed over on the device. */
  readonly keyLengths?: readonly number[];
  readonly queryLengths?: readonly number[];
  /** Tokens in each list; lists per key/value head unless `per` says otherwise. */
  readonly listed?: number;
  readonly per?: 'queryHead' | 'kvHead';
  readonly dtype?: 'f32' | 'f16';
  /** Rows hold every second position, in any order. */
  readonly shuffled?: boolean;
  readonly mask?: HostMask;
}

/** Sinks and a window, but not the same keys for every head. */
const headwiseMask: HostMask = {
  kind: 'allOf',
  parts: [
    {
      kind: 'anyOf',
      parts: [
        { kind: 'prefix', length: 3 },
        { kind: 'slidingWindow', before: 20, after: 2 },
      ],
    },
    {
      kind: 'custom',
      wgsl: ({ head, keyPosition }) => `(${head} + u32(${keyPosition})) % 3u != 0u`,
      reference: ({ head, keyPosition }) => (head + keyPosition) % 3 !== 0,
    },
  ],
};

const base: Case = { batches: 1, heads: 6, kvHeads: 2, queries: 37, keys: 70, headSize: 16, causal: true };

/** Distinct positions of the list of each (batch, list head). */
function listsOf(c: Case): number[][] {
  const count = c.per === 'queryHead' ? c.heads : c.kvHeads;
  return Array.from({ length: c.batches * count }, (_, row) => {
    const order = randomArray(c.keys, 40 + row);
    const positions = Array.from({ length: c.keys }, (_, position) => position);
    return positions.sort((a, b) => (order[a] as number) - (order[b] as number)).slice(0, c.listed);
  });
}

/** Valid keys of a (batch, key/value head). */
function keysOf(c: Case, batch: number, kvHead: number): number {
  return c.keyLengths?.[c.keyLengths.length === c.batches ? batch : batch * c.kvHeads + kvHead] ?? c.keys;
}

/** The position of the key in each row, [B, Hkv, M]. */
function positionsOf(c: Case): number[] {
  return Array.from({ length: c.batches * c.kvHeads }, (_, head) => {
    const order = randomArray(c.keys, 60 + head);
    const rows = Array.from({ length: c.keys }, (_, row) => row);
    return rows.sort((a, b) => (order[a] as number) - (order[b] as number)).map((row) => 2 * row);
  }).flat();
}

function inputOf(c: Case): AttentionReferenceInput {
  const kv = c.batches * c.kvHeads * c.keys * c.headSize;
  const lists = c.listed === undefined ? undefined : listsOf(c);
  const share = c.per === 'queryHead' ? 1 : c.heads / c.kvHeads;
  // Halves are exact in f16, so that both storages hold the same numbers.
  const numbers = (size: number, seed: number) =>
    randomArray(size, seed, { scale: 2 }).map((value) => (c.dtype === 'f16' ? Math.round(value * 8) / 8 : value));
  return {
    ...c,
    q: numbers(c.batches * c.heads * c.queries * c.headSize, 1),
    k: numbers(kv, 2),
    v: new Float32Array(kv),
    ...(c.keyLengths ? { keyLength: c.keyLengths } : {}),
    ...(c.queryLengths ? { queryLength: c.queryLengths } : {}),
    ...(c.shuffled ? { keyPositions: positionsOf(c) } : {}),
    ...(lists
      ? { tokens: (batch: number, head: number) => lists[Math.floor((batch * c.heads + head) / share)] as number[] }
      : {}),
  } as AttentionReferenceInput;
}

/** Runs attention for its log-sum-exp, then the second pass; poison stands in keys that no row may read. */
function run<Want extends StatisticsRequest>(gpu: Gpu, c: Case, want: Want): Record<keyof Want, Tensor> {
  const input = inputOf(c);
  const shape = [c.batches, c.kvHeads, c.keys, c.headSize];
  const listed = c.listed === undefined ? undefined : listsOf(c);
  const poisoned = poisonRows(input.k, shape, (head, position) => {
    if (position >= keysOf(c, Math.floor(head / c.kvHeads), head % c.kvHeads)) return false;
    return listed === undefined || c.per === 'queryHead' || (listed[head] as number[]).includes(position);
  });
  const tensor = (data: ArrayLike<number>, size: readonly number[]) => {
    const full = gpu.tensor(data, size);
    return c.dtype === 'f16' ? cast(full, 'f16') : full;
  };
  const q = tensor(input.q, [c.batches, c.heads, c.queries, c.headSize]);
  const k = tensor(poisoned, shape);
  const listHeads = c.per === 'queryHead' ? c.heads : c.kvHeads;
  const keyLengthShape = c.keyLengths?.length === c.batches ? [c.batches] : [c.batches, c.kvHeads];
  const options = {
    ...(c.scale === undefined ? {} : { scale: c.scale }),
    ...(c.causal === undefined ? {} : { causal: c.causal }),
    ...(c.queryOffset === undefined ? {} : { queryOffset: c.queryOffset }),
    ...(c.slidingWindow === undefined ? {} : { slidingWindow: c.slidingWindow }),
    ...(c.keyLengths ? { keyLength: gpu.tensor(c.keyLengths, keyLengthShape, 'u32') } : {}),
    ...(c.queryLengths ? { queryLength: gpu.tensor(c.queryLengths, [c.batches], 'u32') } : {}),
    ...(c.mask ? { mask: c.mask as Mask } : {}),
    ...(c.scoreModifiers ? { scoreModifiers: c.scoreModifiers.map((each) => deviceModifier(gpu, each, c)) } : {}),
    ...(c.keyMultipliers
      ? {
          keyMultipliers: {
            ...c.keyMultipliers,
            factors: gpu.tensor(c.keyMultipliers.factors, [c.batches, c.heads, c.keys]),
          },
        }
      : {}),
    ...(c.shuffled ? { keyPositions: gpu.tensor(positionsOf(c), shape.slice(0, 3), 'u32') } : {}),
    ...(listed
      ? {
          tokens: {
            indices: gpu.tensor(listed.flat(), [c.batches, listHeads, c.listed as number], 'u32'),
            per: c.per ?? ('kvHead' as const),
          },
        }
      : {}),
  };
  const { logSumExp } = attention(q, k, tensor(input.v, shape), { ...options, returnLogSumExp: true });
  return attentionStatistics(q, k, { ...options, logSumExp: logSumExp as Tensor, want }) as Record<keyof Want, Tensor>;
}

async function readAll<Name extends string>(tensors: Record<Name, Tensor>): Promise<Record<Name, Float32Array>> {
  const entries = Object.entries(tensors) as [Name, Tensor][];
  const data = await (entries[0] as [Name, Tensor])[1].gpu.read(entries.map(([, tensor]) => tensor));
  for (const [, tensor] of entries) tensor.dispose();
  return Object.fromEntries(entries.map(([name], index) => [name, data[index]])) as Record<Name, Float32Array>;
}

const close = { absolute: 2e-6, relative: 2e-5 };

/** Every statistic of a case against the explicit probabilities. */
async function check(gpu: Gpu, c: Case): Promise<void> {
  const probabilities = attentionProbabilities(inputOf(c));
  const { batches, heads, queries, keys } = c;
  const setIds = Array.from({ length: batches * keys }, (_, at) => (at * 7 + Math.floor(at / 5)) % 4);
  const keyWeights = randomArray(batches * heads * keys, 9);
  const queryWeights = randomArray(heads * queries, 10);
  const rows = [queries - 1, 0, Math.floor(queries / 2)];
  const columns = { start: Math.floor(keys / 3), end: keys };
  const blocks = { queryBlock: 10, keyBlock: 12 };
  const results = gpu.tidy(() => {
    const weights = gpu.tensor(queryWeights, [heads, queries]);
    const first = run(gpu, c, {
      keyMass: { queryWeights: weights },
      keySetMass: { sets: gpu.tensor(setIds, [batches, keys], 'u32'), count: 3 },
      expectation: { keyWeights: gpu.tensor(keyWeights, [batches, heads, keys]) },
      entropy: true,
      ...(c.listed === undefined ? { blockMean: blocks } : {}),
      probabilityRows: { queries: rows, heads: [heads - 1, 0], keys: columns },
    });
    const grouped = run(gpu, c, { keyMass: { per: 'kvHead', queries: { last: 5 } } });
    const joined = run(gpu, c, {
      keyMass: { per: 'allHeads', queries: { start: 0, end: Math.max(1, queries - 2) } },
      probabilityRows: { queries: gpu.tensor(rows, [rows.length], 'u32') },
    });
    return {
      ...first,
      lastMass: grouped.keyMass,
      jointMass: joined.keyMass,
      allRows: joined.probabilityRows,
    };
  });
  expect(results.keySetMass.shape).toEqual([batches, heads, queries, 3]);
  expect(results.jointMass.shape).toEqual([batches, 1, keys]);
  const actual = await readAll(results as Record<string, Tensor>);
  const compare = (name: string, expected: ArrayLike<number>, tolerance = close) =>
    assertClose(actual[name] as Float32Array, expected, { ...tolerance, name });
  compare(
    'keyMass',
    keyMassReference(probabilities, c, { weight: (_, head, query) => queryWeights[head * queries + query] as number }),
  );
  const valid = (batch: number) => c.queryLengths?.[batch] ?? queries;
  compare(
    'lastMass',
    keyMassReference(probabilities, c, {
      joinedHeads: heads / c.kvHeads,
      counts: (batch, query) => query < valid(batch) && query >= valid(batch) - Math.min(5, queries),
    }),
  );
  compare(
    'jointMass',
    keyMassReference(probabilities, c, {
      joinedHeads: heads,
      counts: (_, query) => query < Math.max(1, queries - 2),
    }),
  );
  compare(
    'keySetMass',
    keySetMassReference(probabilities, c, 3, (batch, _, key) => setIds[batch * keys + key] as number),
  );
  compare(
    'expectation',
    expectationReference(
      probabilities,
      c,
      (batch, head, key) => keyWeights[(batch * heads + head) * keys + key] as number,
    ),
  );
  compare('entropy', entropyReference(probabilities, c), { absolute: 2e-5, relative: 2e-5 });
  if (c.listed === undefined) {
    compare(
      'blockMean',
      blockMeanReference(probabilities, c, blocks, (batch, head) => ({
        queries: valid(batch),
        keys: keysOf(c, batch, Math.floor((head * c.kvHeads) / heads)),
      })),
    );
  }
  const named = (headsNamed: readonly number[], from: number) =>
    Array.from({ length: batches }, (_, batch) =>
      headsNamed.flatMap((head) =>
        rows.flatMap((row) => {
          const at = ((batch * heads + head) * queries + row) * keys;
          return [...probabilities.subarray(at + from, at + keys)];
        }),
      ),
    ).flat();
  compare('probabilityRows', named([heads - 1, 0], columns.start));
  compare(
    'allRows',
    named(
      Array.from({ length: heads }, (_, head) => head),
      0,
    ),
  );
}

describe('attentionStatistics', () => {
  const cases: readonly (readonly [string, Partial<Case>])[] = [
    ['causal with grouped heads', {}],
    ['one token', { queries: 1 }],
    ['more queries than a part', { queries: 150, heads: 2, kvHeads: 1 }],
    ['one key', { queries: 3, keys: 1, causal: false }],
    ['bidirectional, other lengths than keys', { causal: false, queries: 9, keys: 131 }],
    ['a sliding window', { slidingWindow: 11 }],
    ['rows that see nothing', { queryOffset: -8, slidingWindow: 5 }],
    ['multi-query attention and a ragged head size', { heads: 3, kvHeads: 1, headSize: 18, queries: 5 }],
    ['ragged lengths', { batches: 3, keyLengths: [70, 33, 0], queryLengths: [37, 20, 4] }],
    ['lengths per key/value head', { batches: 2, keyLengths: [70, 33, 0, 51] }],
    ['rows out of order, with lists', { shuffled: true, queryOffset: 80, slidingWindow: 90, listed: 30 }],
    ['a mask that differs between heads', { causal: false, mask: headwiseMask }],
    ['one token under such a mask', { queries: 1, mask: headwiseMask }],
    ['a mask over token lists', { listed: 30, mask: headwiseMask }],
    [
      'score modifiers, a sink, and factors on keys',
      {
        scoreModifiers: [
          { kind: 'softCap', cap: 2 },
          { kind: 'alibi', slopes: [0.5, 0.25, 0.1, 0.05, 0.02, 0.01] },
          { kind: 'sinks', logits: [1, 2, -1, 0, 3, 1] },
        ],
        keyMultipliers: { factors: randomArray(6 * 70, 12).map(Math.abs), renormalise: true },
      },
    ],
    [
      'factors after the normalisation',
      { keyMultipliers: { factors: randomArray(6 * 70, 12).map(Math.abs), renormalise: false }, queries: 1 },
    ],
    ['token lists per key/value head', { listed: 19 }],
    ['token lists per query head, ragged', { listed: 19, per: 'queryHead', batches: 2, keyLengths: [70, 41] }],
  ];
  for (const [name, change] of cases) {
    it(name, async () => {
      await check(await sharedGpu(), { ...base, ...change });
    });
  }

  it('runs on the least device', async () => {
    await check(await modestGpu(), { ...base, batches: 2, keyLengths: [70, 41], queryLengths: [37, 12] });
    await check(await modestGpu(), { ...base, listed: 19, keyLengths: [61], dtype: 'f16' });
  });

  it('gives masses that sum to one, for any shape', async () => {
    const gpu = await sharedGpu();
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          kvHeads: fc.integer({ min: 1, max: 2 }),
          group: fc.integer({ min: 1, max: 3 }),
          queries: fc.integer({ min: 1, max: 70 }),
          keys: fc.integer({ min: 1, max: 150 }),
          causal: fc.boolean(),
        }),
        async ({ kvHeads, group, queries, keys, causal }) => {
          const heads = kvHeads * group;
          const c = { ...base, heads, kvHeads, queries, keys, causal };
          const ids = Array.from({ length: keys }, (_, key) => (key * 5) % 8);
          const { keySetMass, keyMass } = await readAll(
            gpu.tidy(() =>
              run(gpu, c, { keySetMass: { sets: gpu.tensor(ids, [keys], 'u32'), count: 8 }, keyMass: {} }),
            ),
          );
          const seen = Array.from({ length: heads * queries }, (_, row) =>
            !causal || keys - queries + (row % queries) >= 0 ? 1 : 0,
          );
          const rowSums = seen.map((_, row) => keySetMass.subarray(8 * row, 8 * row + 8).reduce((a, b) => a + b, 0));
          assertClose(rowSums, seen, { absolute: 1e-5 });
          const total = keyMass.reduce((a, b) => a + b, 0);
          assertClose([total], [seen.reduce((a: number, b) => a + b, 0)], { relative: 1e-5 });
        },
      ),
      { numRuns: 10, seed: 4 },
    );
  });

  it('reads nothing back, leaves nothing behind, and repeats to the last bit', async () => {
    const gpu = await sharedGpu();
    const want = { keyMass: {}, entropy: true, blockMean: { queryBlock: 8, keyBlock: 64 } } as const;
    await readAll(gpu.tidy(() => run(gpu, base, want)));
    const before = gpu.stats();
    const first = gpu.tidy(() => run(gpu, base, want));
    const second = gpu.tidy(() => run(gpu, base, want));
    expect(gpu.stats().readbacks).toBe(before.readbacks);
    const [a, b] = [await readAll(first), await readAll(second)];
    expect(gpu.stats().readbacks).toBe(before.readbacks + 2);
    expect(gpu.stats().liveBytes).toBe(before.liveBytes);
    for (const name of ['keyMass', 'entropy', 'blockMean'] as const) expect(a[name]).toEqual(b[name]);
  });

  it('gives the same for heads that stand one behind the other', async () => {
    const gpu = await sharedGpu();
    const [lengths, starts, headSize] = [[5, 9], [9, 0], 8];
    const stored = randomArray(14 * headSize, 3);
    const results = gpu.tidy(() => {
      const q = gpu.tensor(randomArray(4 * 3 * headSize, 4), [1, 4, 3, headSize]);
      const keyLength = gpu.tensor(lengths, [1, 2], 'u32');
      const padded = new Float32Array(2 * 9 * headSize);
      starts.forEach((start, head) => {
        const rows = stored.subarray(start * headSize, (start + (lengths[head] as number)) * headSize);
        padded.set(rows, head * 9 * headSize);
      });
      const statistics = (k: Tensor, more: object) => {
        const options = { causal: true, keyLength, ...more };
        const { logSumExp } = attention(q, k, k, { ...options, returnLogSumExp: true });
        return attentionStatistics(q, k, {
          ...options,
          logSumExp: logSumExp as Tensor,
          want: { keyMass: {}, entropy: true, blockMean: { queryBlock: 2, keyBlock: 4 } },
        });
      };
      return [
        statistics(gpu.tensor(padded, [1, 2, 9, headSize]), {}),
        statistics(gpu.tensor(stored, [14, headSize]), {
          keyStarts: gpu.tensor(starts, [1, 2], 'u32'),
          keyBound: 9,
        }),
      ] as const;
    });
    const [contiguous, ragged] = [await readAll(results[0]), await readAll(results[1])];
    for (const name of ['keyMass', 'entropy', 'blockMean'] as const) expect(ragged[name]).toEqual(contiguous[name]);
  });

  it('declares its second passes, and launches what it declares', async () => {
    const gpu = await sharedGpu();
    const q = gpu.zeros([1, 4, 6, 8]);
    const k = gpu.zeros([1, 2, 50, 8]);
    const logSumExp = gpu.zeros([1, 4, 6]);
    const sets = gpu.zeros([50], 'u32');
    const pairs = 2 * 8 * 4 * 6 * 50;
    for (const [want, passes, flops] of [
      [{ keyMass: {} }, 1, pairs],
      [{ keyMass: { queries: { last: 3 } } }, 1, pairs / 2],
      [{ keySetMass: { sets, count: 2 }, entropy: true }, 1, pairs],
      [{ entropy: true, blockMean: { queryBlock: 2, keyBlock: 8 } }, 2, 2 * pairs],
      [{ probabilityRows: { queries: [5], heads: [1, 2], keys: { start: 0, end: 25 } } }, 1, pairs / 24],
    ] as const) {
      const options = { logSumExp, want: want as StatisticsRequest };
      const declared = attentionStatisticsCost(q, k, options);
      expect(declared).toMatchObject({ secondPasses: passes, flops });
      const profile = await gpu.profile(() => {
        gpu.tidy(() => void attentionStatistics(q, k, options));
      });
      const launched = profile.entries.reduce((sum, entry) => sum + entry.flops, 0);
      expect(launched).toBeGreaterThanOrEqual(flops);
      expect(launched).toBeLessThan(1.2 * flops);
    }
    for (const tensor of [q, k, logSumExp, sets]) tensor.dispose();
  });

  it('normalises by what the first pass normalised by', async () => {
    const gpu = await sharedGpu();
    const { probabilities, halves } = await readAll(
      gpu.tidy(() => {
        const q = gpu.tensor(randomArray(2 * 3 * 8, 1), [1, 2, 3, 8]);
        const k = gpu.tensor(randomArray(2 * 9 * 8, 2), [1, 2, 9, 8]);
        const { logSumExp } = attention(q, k, k, { returnLogSumExp: true });
        const rows = (options: object) =>
          attentionStatistics(q, k, {
            ...options,
            logSumExp: logSumExp as Tensor,
            want: { probabilityRows: { queries: [0, 1, 2] } },
          }).probabilityRows;
        return {
          probabilities: rows({}),
          halves: rows({ normalizer: add(logSumExp as Tensor, gpu.tensor([Math.LN2], [1, 1, 1])) }),
        };
      }),
    );
    assertClose(
      halves,
      probabilities.map((value) => value / 2),
      { absolute: 1e-6 },
    );
  });

  it('never holds a matrix of queries by keys', async () => {
    const gpu = await sharedGpu();
    const c = { ...base, heads: 2, kvHeads: 1, queries: 512, keys: 512 };
    const matrix = 4 * c.heads * c.queries * c.keys;
    gpu.resetPeak();
    const live = gpu.stats().liveBytes;
    const results = gpu.tidy(() =>
      run(gpu, c, { keyMass: {}, entropy: true, blockMean: { queryBlock: 64, keyBlock: 64 } }),
    );
    expect(gpu.stats().peakBytes - live).toBeLessThan(matrix / 4);
    for (const tensor of Object.values(results)) tensor.dispose();
  });

  it('refuses what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const q = gpu.zeros([1, 4, 3, 8]);
      const k = gpu.zeros([1, 2, 5, 8]);
      const logSumExp = gpu.zeros([1, 4, 3]);
      const statistics = (want: StatisticsRequest, more: object = {}) =>
        attentionStatistics(q, k, { logSumExp, want, ...more });
      expect(() => statistics({}, { logSumExp: gpu.zeros([1, 4, 2]) })).toThrow(/logSumExp is \[1,4,2\].*\[1,4,3\]/);
      expect(() => statistics({ mass: {} } as StatisticsRequest)).toThrow(/want: got "mass".*keyMass/);
      expect(() => statistics({ keyMass: { per: 'layer' as 'kvHead' } })).toThrow(ArgumentError);
      expect(() => statistics({ keyMass: { queries: { last: 0 } } })).toThrow(/queries.last: got 0/);
      expect(() => statistics({ keyMass: { queries: { start: 2, end: 2 } } })).toThrow(/start < end <= 3/);
      expect(() => statistics({ keySetMass: { sets: gpu.zeros([5], 'u32'), count: 9 } })).toThrow(/count: got 9/);
      expect(() => statistics({ keySetMass: { sets: gpu.zeros([4], 'u32'), count: 2 } })).toThrow(ShapeError);
      expect(() => statistics({ expectation: { keyWeights: gpu.zeros([5], 'u32') } })).toThrow(/f32/);
      expect(() => statistics({ probabilityRows: { queries: [3] } })).toThrow(/queries: got 3/);
      expect(() => statistics({ probabilityRows: { queries: [0], heads: [4] } })).toThrow(/heads: got 4/);
      const tokens = { indices: gpu.zeros([1, 2, 1], 'u32'), per: 'kvHead' };
      expect(() => statistics({ blockMean: { queryBlock: 2, keyBlock: 2 } }, { tokens })).toThrow(/blockMean/);
      const blockMask = {
        kind: 'blocks',
        list: { indices: gpu.zeros([1, 2, 1, 1], 'u32'), per: 'kvHead', queryBlock: 8, keyBlock: 2 },
      };
      expect(() => statistics({}, { mask: blockMask })).toThrow(/keys: got "a list of blocks"/);
      const perBlock = { indices: gpu.zeros([1, 2, 3, 1], 'u32'), per: 'kvHead', queryBlock: 1 };
      expect(() => statistics({}, { tokens: perBlock })).toThrow(/keys: got "lists per query block"/);
      const union = { kind: 'anyOf', parts: [{ kind: 'causal' }, { kind: 'tokens', list: tokens }] };
      expect(() => statistics({}, { mask: union })).toThrow(/keys: got "a union/);
      expect(() => statistics({}, { slidingWindow: 0 })).toThrow(/attentionStatistics: slidingWindow/);
    });
  });
});
