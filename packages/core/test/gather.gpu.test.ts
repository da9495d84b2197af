import { describe, expect, it } from 'vitest';
import { gather, ShapeError, scatterAdd, scatterRows } from '../src/index.ts';
import { assertClose, modestGpu, randomArray, randomIntegers, sharedGpu } from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('rows on the %s device', (_, open) => {
  it('scatterAdd adds rows of one index in their order, leaves others zero, and those outside out', async () => {
    const gpu = await open();
    for (const [count, columns, rows] of [
      [1, 1, 1],
      [7, 3, 2],
      [1500, 5, 37],
    ] as const) {
      const list = randomIntegers(count, count, rows + 1);
      const data = randomArray(count * columns, 9);
      const [source, indices] = [gpu.tensor(data, [count, columns]), gpu.tensor(list, [count], 'u32')];
      const out = scatterAdd(source, indices, rows);
      // Added in f32 in the same order: equal to the last bit.
      const expected = new Float32Array(rows * columns);
      list.forEach((row, i) => {
        for (let column = 0; row < rows && column < columns; column++) {
          const at = row * columns + column;
          expected[at] = (expected[at] as number) + (data[i * columns + column] as number);
        }
      });
      expect(await out.read()).toEqual(expected);
      for (const tensor of [source, indices, out]) tensor.dispose();
    }
  });

  it.each(['f32', 'f16', 'bf16', 'i32', 'u32'] as const)('gather and scatterRows move %s bit by bit', async (dtype) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const rest of [[1], [3], [2, 4], [65], [7, 11]]) {
      const columns = rest.reduce((product, size) => product * size, 1);
      const rows = 11;
      const data = Array.from({ length: rows * columns }, (__, i) => (i * 13) % 240);
      const x = gpu.tensor(data, [rows, ...rest], dtype);
      const list = [10, 0, 3, 3, 11, 4_294_967_295, 7];
      const indices = gpu.tensor(list, [list.length], 'u32');
      const picked = gather(x, indices);
      expect(picked.shape).toEqual([list.length, ...rest]);
      const row = (index: number) =>
        index < rows ? data.slice(index * columns, (index + 1) * columns) : new Array<number>(columns).fill(0);
      assertClose(await picked.read(), list.flatMap(row), { name: `gather [${rest}]` });

      const target = gpu.tensor(new Array(rows * columns).fill(5), [rows, ...rest], dtype);
      const distinct = gpu.tensor([10, 0, 3, 8, 11, 4_294_967_295, 7], [7], 'u32');
      scatterRows(target, distinct, picked);
      const expected = new Array(rows * columns).fill(5);
      [10, 0, 3, 8, undefined, undefined, 7].forEach((to, i) => {
        if (to !== undefined) expected.splice(to * columns, columns, ...row(list[i] as number));
      });
      assertClose(await target.read(), expected, { name: `scatterRows [${rest}]` });
      for (const tensor of [x, indices, picked, target, distinct]) tensor.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('keeps bit patterns that are no ordinary numbers', async () => {
  const gpu = await sharedGpu();
  const bits = Uint32Array.of(0x7fc12345, 0x00000001, 0xff800000, 0x80000000);
  const x = gpu.fromBytes(new Uint8Array(bits.buffer), [4], 'f32');
  const indices = gpu.tensor([3, 2, 1, 0], [4], 'u32');
  const picked = gather(x, indices);
  const values = (await picked.read()) as Float32Array;
  expect([...new Uint32Array(values.buffer, values.byteOffset, 4)]).toEqual([...bits].reverse());
  for (const tensor of [x, indices, picked]) tensor.dispose();
});

it('takes indices of any shape and strided rows', async () => {
  const gpu = await sharedGpu();
  const x = gpu.tensor(
    Array.from({ length: 12 }, (_, i) => i),
    [3, 4],
  );
  const view = x.transpose();
  const indices = gpu.tensor(randomIntegers(6, 81, 4), [2, 3], 'u32');
  const picked = gather(view, indices);
  expect(picked.shape).toEqual([2, 3, 3]);
  const expected = [...randomIntegers(6, 81, 4)].flatMap((column) => [column, column + 4, column + 8]);
  assertClose(await picked.read(), expected);
  for (const tensor of [x, view, indices, picked]) tensor.dispose();
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([3, 4]);
  const rows = gpu.zeros([2, 4]);
  const narrow = gpu.zeros([2, 3]);
  const indices = gpu.zeros([2], 'u32');
  const floats = gpu.zeros([2]);
  const scalar = gpu.zeros([]);
  expect(() => gather(x, floats)).toThrow(ShapeError);
  expect(() => gather(scalar, indices)).toThrow(ShapeError);
  expect(() => scatterRows(x, indices, narrow)).toThrow(ShapeError);
  const part = x.slice(0, 0, 2);
  expect(() => scatterRows(x, indices, part)).toThrow(/share their memory/);
  const transposed = x.transpose();
  const columns = gpu.zeros([2, 3]);
  expect(() => scatterRows(transposed, indices, columns)).toThrow(ShapeError);
  for (const tensor of [x, rows, narrow, indices, floats, scalar, part, transposed, columns]) tensor.dispose();
});
