import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  cast,
  concatenate,
  contiguous,
  copyInto,
  LimitError,
  openGpu,
  ShapeError,
} from '../src/index.ts';
import { bfloatBitsToFloat, floatToBfloatBits, floatToHalfBits, halfBitsToFloat } from '../src/tensor/dtype.ts';
import { assertClose, modestGpu, randomArray, sharedGpu, transposeReference } from '../src/testing/index.ts';

const dtypes = ['f32', 'f16', 'bf16', 'i32', 'u32'] as const;
const shapes = [
  [3, 5, 7],
  [2, 4, 8],
  [1, 1, 2],
  [6, 1, 129],
] as const;

/** Integers that every dtype holds exactly. */
function smallIntegers(size: number): number[] {
  return Array.from({ length: size }, (_, i) => (i * 37) % 251);
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('copies on the %s device', (_, open) => {
  it.each(dtypes)('contiguous makes strided and misaligned %s views dense', async (dtype) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const shape of shapes) {
      const data = smallIntegers(shape[0] * shape[1] * shape[2]);
      const x = gpu.tensor(data, shape, dtype);
      for (const axes of [
        [2, 0, 1],
        [1, 0, 2],
        [0, 1, 2],
      ]) {
        const view = x.transpose(...axes);
        const out = contiguous(view);
        expect(gpu.bindable(out)).toBe(true);
        expect(out.shape).toEqual(view.shape);
        assertClose(await out.read(), transposeReference({ data, shape }, axes), {
          name: `${dtype} [${shape}] ${axes}`,
        });
        out.dispose();
        view.dispose();
      }
      const tail = x.slice(2, 1, shape[2]);
      const dense = contiguous(tail);
      const expected = data.filter((__, i) => i % shape[2] !== 0);
      assertClose(await dense.read(), expected, { name: `${dtype} [${shape}] from column 1` });
      for (const tensor of [dense, tail, x]) tensor.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each(dtypes)('copyInto fills a %s view and nothing else', async (dtype) => {
    const gpu = await open();
    const target = gpu.tensor(new Array(5 * 9).fill(7), [5, 9], dtype);
    const source = gpu.tensor([1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13], [4, 3], dtype);
    gpu.tidy(() => copyInto(target.slice(0, 1, 5).slice(1, 3, 6), source));
    const expected = new Array(5 * 9).fill(7);
    [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13].forEach((value, i) => {
      expected[(1 + Math.floor(i / 3)) * 9 + 3 + (i % 3)] = value;
    });
    assertClose(await target.read(), expected, { name: dtype });
    target.dispose();
    source.dispose();
  });

  it('copyInto converts, broadcasts, and accepts a source that overlaps the target', async () => {
    const gpu = await open();
    const target = gpu.zeros([3, 5], 'f16');
    const row = gpu.tensor([1.5, 2, 3, 4, 5]);
    copyInto(target, row);
    assertClose(await target.read(), [1.5, 2, 3, 4, 5, 1.5, 2, 3, 4, 5, 1.5, 2, 3, 4, 5]);
    gpu.tidy(() => copyInto(target.slice(1, 1, 5), target.slice(1, 0, 4)));
    assertClose(await target.read(), [1.5, 1.5, 2, 3, 4, 1.5, 1.5, 2, 3, 4, 1.5, 1.5, 2, 3, 4]);
    target.dispose();
    row.dispose();
  });

  it('cast rounds to nearest even, overflows to infinity and truncates to integers, as on the host', async () => {
    const gpu = await open();
    const special = [
      0, -0, 1, -1, 65504, 65519.9, 65520, 1e6, -1e9, 6e-8, 2.9e-8, 3e-8, 6.1e-5, 1.0009765, 1.0004883, 3.4e38,
    ];
    const data = Float32Array.from([
      ...special,
      ...randomArray(2000, 3, { scale: 100 }),
      ...randomArray(2001, 4, { scale: 1e-4 }),
    ]);
    const x = gpu.tensor(data);
    const half = cast(x, 'f16');
    expect([...(await half.read())]).toEqual([...data].map((value) => halfBitsToFloat(floatToHalfBits(value))));
    const bfloat = cast(x, 'bf16');
    expect([...(await bfloat.read())]).toEqual([...data].map((value) => bfloatBitsToFloat(floatToBfloatBits(value))));
    const widened = cast(bfloat, 'f32');
    expect(await widened.read()).toEqual(await bfloat.read());
    const integers = cast(x, 'i32');
    const clamp = (value: number) => Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1);
    // f32 cannot represent 2^31 - 1: WGSL saturates at the largest f32 below it.
    const saturated = data.map((value) => (value >= 2 ** 31 ? 2147483520 : clamp(value)));
    assertClose(await integers.read(), saturated, { relative: 1e-7, name: 'i32' });
    const floats = cast(integers, 'f32');
    assertClose(await floats.read(), saturated, { relative: 1e-7, name: 'back' });
    for (const tensor of [x, half, bfloat, widened, integers, floats]) tensor.dispose();
  });

  it.each(dtypes)('concatenate joins %s tensors along any axis', async (dtype) => {
    const gpu = await open();
    const a = gpu.tensor(smallIntegers(2 * 3 * 5), [2, 3, 5], dtype);
    const b = gpu.tensor(smallIntegers(2 * 3 * 2), [2, 3, 2], dtype);
    const joined = concatenate([a, b, a], -1);
    expect(joined.shape).toEqual([2, 3, 12]);
    const rows = (data: number[], width: number, row: number) => data.slice(row * width, row * width + width);
    const expected = Array.from({ length: 6 }, (__, row) => [
      ...rows(smallIntegers(30), 5, row),
      ...rows(smallIntegers(12), 2, row),
      ...rows(smallIntegers(30), 5, row),
    ]).flat();
    assertClose(await joined.read(), expected, { name: dtype });
    const stacked = concatenate([a, a]);
    expect(stacked.shape).toEqual([4, 3, 5]);
    assertClose(await stacked.read(), [...smallIntegers(30), ...smallIntegers(30)], { name: dtype });
    for (const tensor of [a, b, joined, stacked]) tensor.dispose();
  });
});

it('refuses what cannot be copied', async () => {
  const gpu = await sharedGpu();
  const a = gpu.zeros([2, 3]);
  const b = gpu.zeros([3, 2]);
  const quantized = gpu.empty([2, 32], 'q8_0');
  expect(() => concatenate([])).toThrow(ArgumentError);
  expect(() => concatenate([a, b])).toThrow(ShapeError);
  expect(() => copyInto(a, b)).toThrow(ShapeError);
  expect(() => cast(quantized, 'f32')).toThrow(ShapeError);
  for (const tensor of [a, b, quantized]) tensor.dispose();
});

it('moves empty tensors', async () => {
  const gpu = await sharedGpu();
  const empty = gpu.zeros([0, 4]);
  const rows = gpu.tensor([1, 2, 3, 4], [1, 4]);
  const joined = concatenate([empty, rows, empty]);
  expect([...(await joined.read())]).toEqual([1, 2, 3, 4]);
  const half = cast(empty, 'f16');
  expect(half.shape).toEqual([0, 4]);
  for (const tensor of [empty, rows, joined, half]) tensor.dispose();
});

it('copies and casts tensors over the binding limit piece by piece', async () => {
  const gpu = await openGpu({ without: ['limits'] });
  const rows = 70_000;
  const x = gpu.zeros([rows, 512], 'f32');
  expect(x.storage.pieces.length).toBe(2);
  const last = gpu.tensor(randomArray(512, 5), [1, 512], 'f32');
  const marked = gpu.zeros([rows, 512], 'bf16');
  expect(marked.storage.pieces.length).toBe(1);
  gpu.tidy(() => {
    copyInto(marked.slice(0, rows - 1, rows), last);
    copyInto(marked.slice(0, 65_535, 65_536), last);
  });
  const wide = cast(marked, 'f32');
  expect(wide.storage.pieces.length).toBe(2);
  const before = gpu.stats().liveBytes;
  copyInto(x, wide);
  expect(gpu.stats().liveBytes).toBe(before);
  const narrow = cast(x, 'bf16');
  for (const row of [65_535, rows - 1]) {
    const view = narrow.slice(0, row, row + 1);
    assertClose(await view.read(), await last.read(), { relative: 2 ** -8, name: `row ${row}` });
    view.dispose();
  }
  const view = x.slice(0, 1, 3);
  expect(() => contiguous(view)).toThrow(LimitError);
  gpu.dispose();
});
