import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { argsort, type Gpu, ShapeError, sort } from '../src/index.ts';
import { argsortReference, modestGpu, randomArray, randomIntegers, sharedGpu } from '../src/testing/index.ts';

type Values = Float32Array | Int32Array | Uint32Array;

async function checkSort(gpu: Gpu, data: Values, rows: number, descending: boolean): Promise<void> {
  const n = data.length / rows;
  const dtype = data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'u32';
  const sorted = gpu.tidy(() => sort(gpu.tensor(data, [rows, n], dtype), { descending }));
  const [values, indices] = await gpu.read([sorted.values, sorted.indices]);
  sorted.values.dispose();
  sorted.indices.dispose();
  let wrong = 0;
  for (let row = 0; row < rows; row++) {
    const source = data.subarray(row * n, (row + 1) * n);
    argsortReference(source, descending).forEach((from, at) => {
      if (indices?.[row * n + at] !== from || !Object.is(values?.[row * n + at], source[from])) wrong++;
    });
  }
  expect(wrong).toBe(0);
}

describe('sort', () => {
  for (const n of [1, 2, 31, 33, 255, 257, 1023, 1024, 1025, 2049, 4099]) {
    it(`rows of ${n}`, async () => {
      const gpu = await modestGpu();
      await checkSort(gpu, randomArray(3 * n, n, { scale: 1e20 }), 3, false);
      await checkSort(gpu, randomArray(3 * n, n + 1), 3, true);
    });
  }

  it('rows of 65537', async () => {
    const gpu = await modestGpu();
    await checkSort(gpu, randomArray(2 * 65_537, 1), 2, false);
    await checkSort(gpu, randomArray(65_537, 2), 1, true);
  });

  it('a row of 2^20', async () => checkSort(await sharedGpu(), randomArray(2 ** 20, 3), 1, false));

  it('is stable', async () => {
    const gpu = await modestGpu();
    for (const descending of [false, true]) {
      await checkSort(gpu, Float32Array.from(randomIntegers(20_000, 1, 10)), 2, descending);
      await checkSort(gpu, new Float32Array(5000).fill(3), 1, descending);
      await checkSort(
        gpu,
        Float32Array.from({ length: 3000 }, (_, i) => (i % 2 ? 0 : -0)),
        1,
        descending,
      );
    }
  });

  it('sorted and reversed input', async () => {
    const gpu = await modestGpu();
    const up = Float32Array.from({ length: 7001 }, (_, i) => i / 3 - 1000);
    for (const data of [up, up.toReversed()])
      for (const descending of [false, true]) await checkSort(gpu, data, 1, descending);
  });

  it('integers', async () => {
    const gpu = await modestGpu();
    const bits = randomIntegers(6000, 4, 2 ** 32);
    for (const descending of [false, true]) {
      await checkSort(gpu, bits, 2, descending);
      await checkSort(gpu, new Int32Array(bits.buffer), 2, descending);
    }
  });

  it('any rows', async () => {
    const gpu = await modestGpu();
    const row = fc.array(fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1)), {
      minLength: 1,
      maxLength: 2500,
    });
    await fc.assert(
      fc.asyncProperty(row, fc.boolean(), (data, descending) => checkSort(gpu, Float32Array.from(data), 1, descending)),
      { numRuns: 20, seed: 1 },
    );
  });

  it('keeps shapes, takes views, and argsort is its indices', async () => {
    const gpu = await sharedGpu();
    const data = randomArray(4 * 6, 2);
    const x = gpu.tensor(data, [4, 6]);
    const view = x.transpose();
    const order = argsort(view, { descending: true });
    const empty = x.slice(1, 0, 0);
    const none = sort(empty);
    expect([order.shape, none.values.shape]).toEqual([
      [6, 4],
      [4, 0],
    ]);
    const expected = Array.from({ length: 6 }, (_, column) => [
      ...argsortReference(
        [0, 1, 2, 3].map((row) => data[row * 6 + column] as number),
        true,
      ),
    ]).flat();
    expect(Array.from(await order.read())).toEqual(expected);
    for (const tensor of [x, view, empty, order, none.values, none.indices]) tensor.dispose();
  });

  it('refuses scalars and half precision', async () => {
    const gpu = await sharedGpu();
    const scalar = gpu.zeros([]);
    const half = gpu.zeros([4], 'f16');
    expect(() => sort(scalar)).toThrow(ShapeError);
    expect(() => sort(half)).toThrow(ShapeError);
    scalar.dispose();
    half.dispose();
  });
});
