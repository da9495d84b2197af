import { describe, expect, it } from 'vitest';
import { ArgumentError, addRmsNorm, layerNorm, rmsNorm, ShapeError, scaleRows } from '../src/index.ts';
import { hardwareKernelsGpu } from '../src/testing/hardware-kernels-gpu.ts';
import {
  assertClose,
  layerNormReference,
  modestGpu,
  randomArray,
  rmsNormReference,
  sharedGpu,
} from '../src/testing/index.ts';

const shapes: readonly (readonly number[])[] = [
  [1, 1],
  [1, 576],
  [3, 7],
  [2, 5, 33],
  [67, 257],
  [4, 1031],
];

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
  ['hardware kernels', hardwareKernelsGpu],
] as const)('norms on the %s device', (_, open) => {
  it.each(shapes.map((shape) => ({ shape })))('of $shape equal the reference', async ({ shape }) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const columns = shape.at(-1) as number;
    const size = shape.reduce((product, axis) => product * axis, 1);
    const x = randomArray(size, 21, { scale: 3 });
    const weight = randomArray(columns, 22);
    const bias = randomArray(columns, 23);
    const residual = randomArray(size, 24, { scale: 2 });
    const results = gpu.tidy(() => {
      const [xs, ws, bs] = [gpu.tensor(x, shape), gpu.tensor(weight), gpu.tensor(bias)];
      const added = addRmsNorm(xs, gpu.tensor(residual, shape), ws, { epsilon: 1e-5 });
      return {
        rms: rmsNorm(xs, ws),
        layer: layerNorm(xs, ws, bs),
        plain: layerNorm(xs, ws, undefined, { epsilon: 1e-3 }),
        rmsPlus: rmsNorm(xs, ws, { residual: gpu.tensor(residual, shape) }),
        layerPlus: layerNorm(xs, ws, bs, { residual: gpu.tensor(residual, shape) }),
        ...added,
      };
    });
    const total = x.map((value, i) => value + (residual[i] as number));
    const plus = (values: Float64Array) => values.map((value, i) => value + (residual[i] as number));
    const expected = {
      rms: rmsNormReference(x, weight, 1e-6),
      layer: layerNormReference(x, weight, bias, 1e-5),
      rmsPlus: plus(rmsNormReference(x, weight, 1e-6)),
      layerPlus: plus(layerNormReference(x, weight, bias, 1e-5)),
      plain: layerNormReference(x, weight, undefined, 1e-3),
      sum: total,
      normed: rmsNormReference(total, weight, 1e-5),
    };
    for (const name of ['rms', 'layer', 'plain', 'rmsPlus', 'layerPlus', 'sum', 'normed'] as const) {
      expect(results[name].shape).toEqual(shape);
      assertClose(await results[name].read(), expected[name], { relative: 1e-5, absolute: 2e-6, name });
      results[name].dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each(['f16', 'bf16'] as const)('take %s inputs and strided views', async (dtype) => {
    const gpu = await open();
    const data = randomArray(9 * 38, 25);
    const weights = randomArray(37, 26);
    const [x, weight] = [gpu.tensor(data, [9, 38], dtype), gpu.tensor(weights, [37], dtype)];
    const [rounded, roundedWeight] = [await x.read(), await weight.read()];
    const out = gpu.tidy(() => rmsNorm(x.slice(1, 1, 38), weight));
    const rows = rounded.filter((__, i) => i % 38 !== 0);
    assertClose(await out.read(), rmsNormReference(rows, roundedWeight, 1e-6), { relative: 1e-5, absolute: 2e-6 });
    for (const tensor of [x, weight, out]) tensor.dispose();
  });

  it('of layers may take another weight and bias for each row, and rows factors of their own', async () => {
    const gpu = await open();
    const [rows, columns, groups] = [9, 37, 3];
    const x = randomArray(rows * columns, 31, { scale: 2 });
    const [weight, bias] = [randomArray(groups * columns, 32), randomArray(groups * columns, 33)];
    const groupOf = [2, 0, 1, 1, 0, 2, 2, 1, 0];
    const of = (vectors: Float32Array, row: number) => {
      const from = (groupOf[row] as number) * columns;
      return vectors.subarray(from, from + columns);
    };
    const normed = groupOf.flatMap((_, row) => [
      ...layerNormReference(x.subarray(row * columns, (row + 1) * columns), of(weight, row), of(bias, row), 1e-5),
    ]);
    const results = gpu.tidy(() => {
      const xs = gpu.tensor(x, [rows, columns]);
      const [ws, bs] = [gpu.tensor(weight, [groups, columns]), gpu.tensor(bias, [groups, columns])];
      const rowGroups = gpu.tensor(groupOf, [rows], 'u32');
      return {
        normed: layerNorm(xs, ws, bs, { rowGroups }),
        scaled: scaleRows(xs, ws, { rowGroups }),
        added: scaleRows(xs, ws, { rowGroups, residual: xs }),
        one: scaleRows(xs, ws.slice(0, 1, 2), { residual: xs }),
      };
    });
    const factor = (at: number) => of(weight, Math.floor(at / columns))[at % columns] as number;
    const exact = { relative: 1e-6, absolute: 1e-6 };
    assertClose(await results.normed.read(), normed, { relative: 1e-5, absolute: 2e-6 });
    assertClose(
      await results.scaled.read(),
      [...x].map((value, at) => value * factor(at)),
      exact,
    );
    assertClose(
      await results.added.read(),
      [...x].map((value, at) => value * factor(at) + value),
      exact,
    );
    const only = (at: number) => weight[columns + (at % columns)] as number;
    assertClose(
      await results.one.read(),
      [...x].map((value, at) => value * only(at) + value),
      exact,
    );
    for (const tensor of Object.values(results)) tensor.dispose();
    gpu.tidy(() => {
      const [xs, ws] = [gpu.tensor(x, [rows, columns]), gpu.tensor(weight, [groups, columns])];
      const short = gpu.tensor([0, 1], [2], 'u32');
      expect(() => layerNorm(xs, ws)).toThrow(ShapeError);
      expect(() => layerNorm(xs, ws, undefined, { rowGroups: short })).toThrow(
        /rowGroups are u32\[2\]; expected u32 \[9\]/,
      );
      expect(() => scaleRows(xs, ws)).toThrow(/without rowGroups/);
      expect(() => scaleRows(xs, ws, { rowGroups: short })).toThrow(ShapeError);
      expect(() => scaleRows(xs, short.reshape([1, 2]))).toThrow(/u32\[1,2\]/);
      expect(() => scaleRows(xs, ws.slice(0, 0, 1), { residual: ws })).toThrow(/residual/);
    });
  });

  it('keep their digits for rows of large and of nearly equal numbers', async () => {
    const gpu = await open();
    const large = randomArray(300, 27, { scale: 1e15 });
    const offset = randomArray(300, 28).map((value) => Math.fround(value + 4096));
    const weight = new Float32Array(300).fill(1);
    const results = gpu.tidy(() => {
      const ws = gpu.tensor(weight);
      return [rmsNorm(gpu.tensor(large, [1, 300]), ws), layerNorm(gpu.tensor(offset, [1, 300]), ws)];
    });
    const expected = [rmsNormReference(large, weight, 1e-6), layerNormReference(offset, weight, undefined, 1e-5)];
    for (const [index, result] of results.entries()) {
      // A mean near 4096 is known to 2^-12 of the deviations.
      assertClose(await result.read(), expected[index] as Float64Array, { relative: 1e-5, absolute: index * 1e-3 });
      result.dispose();
    }
  });

  it('give zeros for rows of zeros', async () => {
    const gpu = await open();
    const results = gpu.tidy(() => {
      const [x, weight] = [gpu.zeros([2, 9]), gpu.tensor(randomArray(9, 29))];
      return [rmsNorm(x, weight), layerNorm(x, weight)];
    });
    for (const result of results) {
      expect([...(await result.read())].every((value) => value === 0)).toBe(true);
      result.dispose();
    }
  });
});

it('norms refuse what does not fit', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([2, 3]);
  const weight = gpu.zeros([3]);
  const wrong = gpu.zeros([4]);
  const integers = gpu.zeros([2, 3], 'i32');
  const scalar = gpu.zeros([]);
  const empty = gpu.zeros([0, 3]);
  expect(() => rmsNorm(x, wrong)).toThrow(/weight is \[4\]; x asks for \[3\]/);
  expect(() => layerNorm(x, weight, wrong)).toThrow(ShapeError);
  expect(() => addRmsNorm(x, weight, weight)).toThrow(ShapeError);
  expect(() => rmsNorm(x, weight, { residual: weight })).toThrow(ShapeError);
  expect(() => rmsNorm(integers, weight)).toThrow(ShapeError);
  expect(() => rmsNorm(scalar, weight)).toThrow(ShapeError);
  expect(() => rmsNorm(x, weight, { epsilon: -1 })).toThrow(ArgumentError);
  const nothing = rmsNorm(empty, weight);
  expect((await nothing.read()).length).toBe(0);
  for (const tensor of [x, weight, wrong, integers, scalar, empty, nothing]) tensor.dispose();
});
