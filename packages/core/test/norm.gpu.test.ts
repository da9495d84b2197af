import { describe, expect, it } from 'vitest';
import { ArgumentError, addRmsNorm, layerNorm, rmsNorm, ShapeError } from '../src/index.ts';
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
