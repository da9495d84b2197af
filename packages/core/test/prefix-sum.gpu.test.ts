import { describe, expect, it } from 'vitest';
import { compact, type Gpu, maskPositions, prefixSum, ShapeError } from '../src/index.ts';
import {
  assertClose,
  modestGpu,
  prefixSumReference,
  randomArray,
  randomIntegers,
  sharedGpu,
} from '../src/testing/index.ts';

type Values = Float32Array | Int32Array | Uint32Array;

const dtypeOf = (data: Values) => (data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'u32');

async function checkPrefixSum(
  gpu: Gpu,
  data: Values,
  rows: number,
  exclusive: boolean,
  reverse = false,
): Promise<void> {
  const n = data.length / rows;
  const sums = gpu.tidy(() => prefixSum(gpu.tensor(data, [rows, n], dtypeOf(data)), { exclusive, reverse }));
  const found = await sums.read();
  sums.dispose();
  for (let row = 0; row < rows; row++) {
    const values = data.subarray(row * n, (row + 1) * n);
    const actual = found.subarray(row * n, (row + 1) * n);
    const expected = reverse
      ? prefixSumReference(values.toReversed(), exclusive).toReversed()
      : prefixSumReference(values, exclusive);
    if (data instanceof Float32Array) {
      const size = Float64Array.from(values).reduce((sum, value) => sum + Math.abs(value), 0);
      assertClose(actual, expected, { absolute: 3e-7 * size + 1e-7 });
    } else {
      // Typed arrays wrap modulo 2^32 by themselves.
      assertClose(actual, data instanceof Int32Array ? Int32Array.from(expected) : Uint32Array.from(expected));
    }
  }
}

describe('prefixSum', () => {
  for (const n of [1, 2, 31, 33, 255, 257, 4095, 4096, 4097, 65_537]) {
    it(`rows of ${n}`, async () => {
      const gpu = await modestGpu();
      for (const exclusive of [false, true]) {
        await checkPrefixSum(gpu, randomArray(3 * n, n), 3, exclusive);
        const bits = randomIntegers(2 * n, n, 2 ** 32);
        await checkPrefixSum(gpu, bits, 2, exclusive);
        await checkPrefixSum(gpu, bits, 2, exclusive, true);
        await checkPrefixSum(gpu, new Int32Array(bits.buffer), 2, exclusive);
      }
    });
  }

  it('a row of 2^22, exact in integers and close in floats', async () => {
    const gpu = await sharedGpu();
    await checkPrefixSum(gpu, randomIntegers(2 ** 22, 1, 1000), 1, false);
    await checkPrefixSum(gpu, randomArray(2 ** 22, 2, { scale: 1e3 }), 1, true);
  });

  it('reproduces bit by bit, takes views and empty rows', async () => {
    const gpu = await sharedGpu();
    const data = randomArray(3 * 9001, 1);
    const x = gpu.tensor(data, [9001, 3]);
    const view = x.transpose();
    const empty = x.slice(1, 0, 0);
    const [first, second, none] = [prefixSum(view), prefixSum(view), prefixSum(empty)];
    expect(await first.read()).toEqual(await second.read());
    expect(none.shape).toEqual([9001, 0]);
    const column = Float32Array.from({ length: 9001 }, (_, i) => data[3 * i + 1] as number);
    assertClose((await first.read()).subarray(9001, 18_002), prefixSumReference(column), { absolute: 1e-3 });
    for (const tensor of [x, view, empty, first, second, none]) tensor.dispose();
  });

  it('refuses scalars and half precision', async () => {
    const gpu = await sharedGpu();
    const scalar = gpu.zeros([]);
    const half = gpu.zeros([4], 'f16');
    expect(() => prefixSum(scalar)).toThrow(ShapeError);
    expect(() => prefixSum(half)).toThrow(ShapeError);
    scalar.dispose();
    half.dispose();
  });
});

async function checkCompact(gpu: Gpu, flags: Uint32Array, rows: number): Promise<void> {
  const n = flags.length / rows;
  const data = randomArray(flags.length, 5);
  const [kept, positions] = gpu.tidy(() => {
    const mask = gpu.tensor(flags, [rows, n], 'u32');
    return [compact(gpu.tensor(data, [rows, n]), mask), maskPositions(mask)] as const;
  });
  const results = [kept.values, kept.indices, kept.counts, positions.indices, positions.counts];
  const [values, indices, counts, otherIndices, otherCounts] = await gpu.read(results);
  for (const tensor of results) tensor.dispose();
  const expectedIndices = new Uint32Array(flags.length).fill(0xffffffff);
  const expectedValues = new Float32Array(flags.length);
  const expectedCounts = new Uint32Array(rows);
  for (let row = 0; row < rows; row++) {
    let place = 0;
    for (let at = 0; at < n; at++) {
      if (flags[row * n + at] === 0) continue;
      expectedIndices[row * n + place] = at;
      expectedValues[row * n + place++] = data[row * n + at] as number;
    }
    expectedCounts[row] = place;
  }
  assertClose(values ?? [], expectedValues);
  assertClose(indices ?? [], expectedIndices);
  assertClose(counts ?? [], expectedCounts);
  assertClose(otherIndices ?? [], expectedIndices);
  assertClose(otherCounts ?? [], expectedCounts);
}

describe('compact and maskPositions', () => {
  for (const n of [1, 2, 31, 257, 4096, 4099, 65_537]) {
    it(`rows of ${n}`, async () => {
      const gpu = await modestGpu();
      await checkCompact(gpu, randomIntegers(3 * n, n, 2), 3);
      // Any nonzero word is a set flag.
      await checkCompact(
        gpu,
        randomIntegers(n, n, 40).map((value) => (value === 7 ? 2 ** 31 : 0)),
        1,
      );
      await checkCompact(gpu, new Uint32Array(2 * n), 2);
      await checkCompact(gpu, new Uint32Array(2 * n).fill(1), 2);
    });
  }

  it('a row of 2^20', async () => checkCompact(await sharedGpu(), randomIntegers(2 ** 20, 1, 3), 1));

  it('rows without elements', async () => {
    const gpu = await sharedGpu();
    const mask = gpu.zeros([3, 0], 'u32');
    const { indices, counts } = maskPositions(mask);
    expect(Array.from(await counts.read())).toEqual([0, 0, 0]);
    for (const tensor of [mask, indices, counts]) tensor.dispose();
  });

  it('refuses what does not fit', async () => {
    const gpu = await sharedGpu();
    const x = gpu.zeros([2, 3]);
    const mask = gpu.zeros([2, 4], 'u32');
    expect(() => compact(x, mask)).toThrow(ShapeError);
    expect(() => compact(x, x)).toThrow(ShapeError);
    expect(() => maskPositions(x)).toThrow(ShapeError);
    x.dispose();
    mask.dispose();
  });
});
