import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError, type Gpu, ShapeError, type TopKOptions, topK } from '../src/index.ts';
import {
  hardwareKernelsGpu,
  modestGpu,
  randomArray,
  randomIntegers,
  sharedGpu,
  topKReference,
} from '../src/testing/index.ts';

type Values = Float32Array | Int32Array | Uint32Array;

const padding = 0xffffffff;

function dtypeOf(values: Values): 'f32' | 'i32' | 'u32' {
  return values instanceof Float32Array ? 'f32' : values instanceof Int32Array ? 'i32' : 'u32';
}

/** Runs topK on [rows, n] and compares values, indices and counts with the reference. */
async function checkTopK(
  gpu: Gpu,
  data: Values,
  rows: number,
  k: number,
  options: { readonly lengths?: readonly number[] | number; readonly order?: 'value' | 'index' } = {},
): Promise<void> {
  const n = data.length / rows;
  const { lengths, order = 'value' } = options;
  const result = gpu.tidy(() => {
    const extra: TopKOptions =
      lengths === undefined
        ? {}
        : { lengths: typeof lengths === 'number' ? lengths : gpu.tensor(lengths, [rows], 'u32') };
    return topK(gpu.tensor(data, [rows, n], dtypeOf(data)), k, { ...extra, order });
  });
  const [values, indices, counts] = await gpu.read([result.values, result.indices, result.counts]);
  for (const tensor of [result.values, result.indices, result.counts]) tensor.dispose();
  const lowest = { f32: Math.fround(-1e38), i32: -(2 ** 31), u32: 0 }[dtypeOf(data)];
  const expectedIndices: number[] = [];
  const expectedValues: number[] = [];
  const expectedCounts: number[] = [];
  for (let row = 0; row < rows; row++) {
    const length = typeof lengths === 'number' ? lengths : Math.min(lengths?.[row] ?? n, n);
    const values = data.subarray(row * n, (row + 1) * n);
    const best = topKReference(values, k, length);
    if (order === 'index') best.sort();
    for (let at = 0; at < k; at++) {
      expectedIndices.push(best[at] ?? padding);
      expectedValues.push(at < best.length ? (values[best[at] as number] as number) : lowest);
    }
    expectedCounts.push(best.length);
  }
  expect(Array.from(counts ?? [])).toEqual(expectedCounts);
  expect(firstDifference(indices ?? [], expectedIndices)).toBeUndefined();
  expect(firstDifference(values ?? [], expectedValues)).toBeUndefined();
}

/** Object.is per element, so that the sign of zero counts: element-wise expect would take seconds on large arrays. */
function firstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} elements, expected ${expected.length}`;
  for (let at = 0; at < expected.length; at++) {
    if (!Object.is(actual[at], expected[at])) return `at ${at}: ${actual[at]}, expected ${expected[at]}`;
  }
  return undefined;
}

const devices: readonly (readonly [string, () => Promise<Gpu>])[] = [
  ['modest device', modestGpu],
  ['kernels of hardware adapters', hardwareKernelsGpu],
];

for (const [name, open] of devices) {
  describe(`topK, ${name}`, () => {
    for (const n of [1, 2, 31, 33, 255, 257, 4099]) {
      it(`rows of ${n}`, async () => {
        const gpu = await open();
        for (const k of new Set([1, Math.ceil(n / 3), n])) await checkTopK(gpu, randomArray(3 * n, n), 3, k);
        await checkTopK(gpu, randomArray(3 * n, n + 1), 3, Math.ceil(n / 2), { order: 'index' });
      });
    }

    it('rows of 65537: one workgroup or many, sorted inside one workgroup or beyond', async () => {
      const gpu = await open();
      const data = randomArray(2 * 65_537, 3, { scale: 1e30 });
      for (const k of [1, 50, 1024, 1025, 65_537]) await checkTopK(gpu, data, 2, k);
      await checkTopK(gpu, data.subarray(0, 65_537), 1, 3000, { order: 'index' });
    });

    it('equal values go to the lower index', async () => {
      const gpu = await open();
      for (const n of [100, 5000, 20_000]) {
        await checkTopK(gpu, new Float32Array(n).fill(-2.5), 1, Math.ceil(n / 2));
        await checkTopK(gpu, Float32Array.from(randomIntegers(n, 1, 5)), 1, Math.ceil(n / 2));
        await checkTopK(gpu, Float32Array.from(randomIntegers(n, 1, 2)), 1, 77, { order: 'index' });
      }
    });

    it('sorted and reversed rows', async () => {
      const gpu = await open();
      const up = Float32Array.from({ length: 9000 }, (_, i) => i - 4500.5);
      for (const data of [up, up.toReversed()]) for (const k of [1, 64, 1500, 9000]) await checkTopK(gpu, data, 1, k);
    });

    it('zeros of both signs, subnormals, extremes', async () => {
      const gpu = await open();
      const special = [
        0,
        -0,
        1e-45,
        -1e-45,
        3.4e38,
        -3.4e38,
        -1e38,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
      ];
      const data = Float32Array.from({ length: 90 }, (_, i) => special[(i * 5) % 9] as number);
      for (const k of [1, 9, 45, 90]) await checkTopK(gpu, data, 1, k);
    });

    it('lengths limit the candidates and the rest is padding', async () => {
      const gpu = await open();
      const data = randomArray(5 * 9001, 9, { scale: 3e38 });
      const lengths = [0, 1, 40, 8999, 20_000];
      for (const k of [1, 41, 1500]) {
        await checkTopK(gpu, data, 5, k, { lengths });
        await checkTopK(gpu, data, 5, k, { lengths, order: 'index' });
        await checkTopK(gpu, data, 5, k, { lengths: 40 });
      }
      await checkTopK(gpu, data.subarray(0, 45), 9, 5, { lengths: 0 });
    });

    it('long rows in the order of positions, whatever a sample of them tells', async () => {
      const gpu = await open();
      const n = 9001;
      const check = (data: Values, k: number, lengths?: readonly number[]) =>
        checkTopK(gpu, data, data.length / n, k, { order: 'index', ...(lengths ? { lengths } : {}) });
      const random = randomArray(3 * n, 21);
      for (const k of [1, 40, 256]) await check(random, k, [n, 5000, 4095]);
      // The largest stand together; then just where samples are taken, and just where none is.
      await check(
        random.map((value, at) => (at % n > n - 300 ? value + 100 : value)),
        256,
      );
      const step = Math.floor(n / 512);
      await check(
        random.map((value, at) => ((at % n) % step === 0 ? value + 100 : value)),
        256,
      );
      await check(
        random.map((value, at) => ((at % n) % step === 0 ? value - 100 : value)),
        256,
      );
      await check(Float32Array.from(randomIntegers(n, 22, 300)), 200);
      await check(randomIntegers(n, 23, 2 ** 32), 200);
    });

    it('integers', async () => {
      const gpu = await open();
      const bits = randomIntegers(10_000, 4, 2 ** 32);
      for (const k of [1, 100, 2000]) {
        await checkTopK(gpu, bits, 2, k);
        await checkTopK(gpu, new Int32Array(bits.buffer), 2, k);
        await checkTopK(gpu, new Int32Array(bits.buffer), 2, k, { lengths: [30, 4000] });
      }
    });

    it('any rows, few distinct values', async () => {
      const gpu = await open();
      const input = fc
        .record({ rows: fc.integer({ min: 1, max: 4 }), n: fc.integer({ min: 1, max: 300 }) })
        .chain(({ rows, n }) =>
          fc.record({
            rows: fc.constant(rows),
            k: fc.integer({ min: 1, max: n }),
            data: fc.array(fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1, 2)), {
              minLength: rows * n,
              maxLength: rows * n,
            }),
            order: fc.constantFrom('value' as const, 'index' as const),
          }),
        );
      await fc.assert(
        fc.asyncProperty(input, ({ rows, k, data, order }) =>
          checkTopK(gpu, Float32Array.from(data), rows, k, { order }),
        ),
        { numRuns: 20, seed: 1 },
      );
    });
  });
}

describe('topK', () => {
  it('takes a row of 2^20', async () => {
    const gpu = await sharedGpu();
    await checkTopK(gpu, randomArray(2 ** 20, 5), 1, 1000);
  });

  it('keeps leading axes and takes strided views', async () => {
    const gpu = await sharedGpu();
    const data = randomArray(2 * 3 * 5, 2);
    const x = gpu.tensor(data, [2, 5, 3]);
    const view = x.transpose();
    const { values, indices, counts } = topK(view, 2);
    expect([values.shape, indices.shape, counts.shape]).toEqual([
      [2, 3, 2],
      [2, 3, 2],
      [2, 3],
    ]);
    const found = await indices.read();
    const column = (batch: number, at: number) =>
      Array.from({ length: 5 }, (_, i) => data[batch * 15 + i * 3 + at] as number);
    expect(Array.from(found)).toEqual(
      [0, 1].flatMap((batch) => [0, 1, 2].flatMap((at) => [...topKReference(column(batch, at), 2)])),
    );
    for (const tensor of [x, view, values, indices, counts]) tensor.dispose();
  });

  it('leaves no tensor behind', async () => {
    const gpu = await sharedGpu();
    const x = gpu.tensor(randomArray(3000, 1), [3000]);
    const before = gpu.stats().liveBytes;
    const result = topK(x, 2000);
    for (const tensor of [result.values, result.indices, result.counts]) tensor.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
    x.dispose();
  });

  it('refuses what it cannot do', async () => {
    const gpu = await sharedGpu();
    const x = gpu.zeros([2, 8]);
    const half = gpu.zeros([2, 8], 'f16');
    const lengths = gpu.zeros([3], 'u32');
    for (const k of [0, 9, 1.5, Number.NaN]) expect(() => topK(x, k)).toThrow(ArgumentError);
    for (const count of [-1, 9, 0.5]) expect(() => topK(x, 1, { lengths: count })).toThrow(ArgumentError);
    expect(() => topK(x, 1, { lengths })).toThrow(ShapeError);
    expect(() => topK(half, 1)).toThrow(ShapeError);
    for (const tensor of [x, half, lengths]) tensor.dispose();
  });
});
