import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as core from '../src/index.ts';
import { broadcastShapes, elementCount } from '../src/tensor/shape.ts';
import {
  assertClose,
  binaryReference,
  elementwiseReference,
  modestGpu,
  randomArray,
  sharedGpu,
  unaryReference,
} from '../src/testing/index.ts';

const { absolute, exp, gelu, log, negate, reciprocal, relu, rsqrt, sigmoid, silu, sqrt, square, tanh } = core;
const { elu, hardSigmoid, hardSwish, leakyRelu, softplus } = core;
const { add, divide, maximum, minimum, multiply, subtract } = core;
const geluTanh = (x: core.Tensor) => gelu(x, { approximate: 'tanh' });
const geluSigmoid = (x: core.Tensor) => gelu(x, { approximate: 'sigmoid' });
const unaryOps = {
  absolute,
  elu: (x: core.Tensor) => elu(x),
  exp,
  gelu,
  geluTanh,
  geluSigmoid,
  hardSigmoid,
  hardSwish,
  leakyRelu: (x: core.Tensor) => leakyRelu(x),
  log,
  negate,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  softplus,
  sqrt,
  square,
  tanh,
};
const binaryOps = { add, divide, maximum, minimum, multiply, subtract };
const binaryNames = Object.keys(binaryReference) as (keyof typeof binaryReference)[];
const unaryNames = Object.keys(unaryReference) as (keyof typeof unaryReference)[];
const positive: readonly string[] = ['log', 'sqrt', 'rsqrt', 'reciprocal'];

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('elementwise on the %s device', (_, open) => {
  it.each(unaryNames)('%s follows its definition, also for large and tiny numbers', async (name) => {
    const gpu = await open();
    const magnitudes = [0, 1e-30, 1e-6, 1e-3, 0.19999, 0.2, 0.5, 1, 2, 5, 9, 20, 80, 88, 1000, 1e6, 1e18];
    const wide = [...magnitudes, ...magnitudes.map((value) => -value), ...randomArray(997, 7, { scale: 6 })];
    const data = wide
      .map(Math.fround)
      .filter((value) => !positive.includes(name) || value > 0)
      .filter((value) => name !== 'exp' || value < 88);
    const x = gpu.tensor(data);
    const out = unaryOps[name](x);
    const tolerance = { relative: name === 'exp' ? 2e-5 : 4e-6, absolute: 1e-7, name };
    assertClose(await out.read(), data.map(unaryReference[name]), tolerance);
    x.dispose();
    out.dispose();
  });

  it('exp saturates at the largest finite number', async () => {
    const gpu = await open();
    const x = gpu.tensor([89, 1000, 3e38, -1000, -3e38]);
    const out = core.exp(x);
    const values = [...(await out.read())];
    expect(values.slice(0, 3).every((value) => value > 3.3e38 && value < 3.41e38)).toBe(true);
    expect(values.slice(3)).toEqual([0, 0]);
    x.dispose();
    out.dispose();
  });

  it.each(binaryNames)('%s broadcasts every shape', async (name) => {
    const gpu = await open();
    const axis = fc.constantFrom(1, 2, 3, 4, 5, 8);
    const pair = fc.tuple(
      fc.array(axis, { maxLength: 5 }),
      fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(pair, async ([shape, ones]) => {
        const left = shape.map((size, at) => (ones[at]?.[0] ? 1 : size));
        const right = shape.map((size, at) => (ones[at]?.[1] ? 1 : size)).slice(ones.length % (shape.length + 1));
        const out = broadcastShapes('test', left, right);
        const a = randomArray(elementCount(left), 11, { scale: 3 });
        const b = randomArray(elementCount(right), 12).map((value) => value + (value < 0 ? -1 : 1));
        const x = gpu.tensor(a, left);
        const y = gpu.tensor(b, right);
        const result = binaryOps[name](x, y);
        expect(result.shape).toEqual(out);
        const expected = elementwiseReference(name, { data: a, shape: left }, { data: b, shape: right }, out);
        assertClose(await result.read(), expected, { relative: 1e-6, absolute: 1e-6, name: `[${left}] [${right}]` });
        for (const tensor of [x, y, result]) tensor.dispose();
      }),
      { numRuns: 20, seed: 1 },
    );
  });

  it.each(['f32', 'f16', 'bf16', 'i32', 'u32'] as const)('adds strided and misaligned %s views', async (dtype) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const [rows, columns] of [
      [7, 13],
      [8, 16],
    ] as const) {
      const data = Array.from({ length: rows * columns }, (__, i) => i % 120);
      const results = gpu.tidy(() => {
        const x = gpu.tensor(data, [rows, columns], dtype);
        return [
          core.add(x.transpose(), x.transpose()),
          core.add(x.slice(1, 1, columns), x.slice(1, 0, columns - 1)),
          core.add(x, x.slice(0, 2, 3)),
          core.add(x.slice(1, 3, 4), x),
        ];
      });
      const at = (row: number, column: number) => data[row * columns + column] as number;
      const grid = (height: number, width: number, value: (row: number, column: number) => number) =>
        Array.from({ length: height * width }, (__, i) => value(Math.floor(i / width), i % width));
      const expected = [
        grid(columns, rows, (row, column) => 2 * at(column, row)),
        grid(rows, columns - 1, (row, column) => at(row, column + 1) + at(row, column)),
        grid(rows, columns, (row, column) => at(row, column) + at(2, column)),
        grid(rows, columns, (row, column) => at(row, 3) + at(row, column)),
      ];
      for (const [index, result] of results.entries()) {
        expect(result.dtype).toBe(dtype === 'bf16' ? 'f32' : dtype);
        assertClose(await result.read(), expected[index] as number[], { name: `${dtype} case ${index}` });
        result.dispose();
      }
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('takes six axes that do not merge and refuses seven', async () => {
    const gpu = await open();
    const shape = [2, 3, 2, 3, 2, 3];
    const a = randomArray(elementCount(shape), 13);
    const b = randomArray(27, 14);
    const x = gpu.tensor(a, shape);
    const y = gpu.tensor(b, [1, 3, 1, 3, 1, 3]);
    const out = core.multiply(x, y);
    const right = { data: b, shape: [1, 3, 1, 3, 1, 3] };
    assertClose(await out.read(), elementwiseReference('multiply', { data: a, shape }, right, shape), {
      relative: 1e-6,
    });
    const long = gpu.zeros([2, 2, 2, 2, 2, 2, 2]);
    const ones = gpu.zeros([1, 2, 1, 2, 1, 2, 1]);
    const before = gpu.stats().liveBytes;
    expect(() => core.add(long, ones)).toThrow(core.ShapeError);
    expect(gpu.stats().liveBytes).toBe(before);
    for (const tensor of [x, y, out, long, ones]) tensor.dispose();
  });

  it('scales with host numbers, in f16 too', async () => {
    const gpu = await open();
    const data = randomArray(1003, 15);
    for (const dtype of ['f32', 'f16'] as const) {
      const x = gpu.tensor(data, [1003], dtype);
      const out = core.scale(x, 2.5, -1);
      expect(out.dtype).toBe(dtype);
      assertClose(
        await out.read(),
        data.map((value) => value * 2.5 - 1),
        { absolute: dtype === 'f32' ? 1e-6 : 4e-3 },
      );
      x.dispose();
      out.dispose();
    }
  });
});

it('covers more than 65535 workgroups', async () => {
  const gpu = await sharedGpu();
  // An odd size keeps one element per invocation: 64 per workgroup.
  const size = 65_537 * 64 + 1;
  const data = new Float32Array(size).map((_, i) => i % 8191);
  const x = gpu.tensor(data);
  const out = core.scale(x, 2, 1);
  assertClose(
    await out.read(),
    data.map((value) => 2 * value + 1),
  );
  x.dispose();
  out.dispose();
});

it('throws typed errors', async () => {
  const gpu = await sharedGpu();
  const a = gpu.zeros([2, 3]);
  const b = gpu.zeros([4]);
  const integers = gpu.zeros([3], 'i32');
  const unsigned = gpu.zeros([3], 'u32');
  const quantized = gpu.empty([1, 32], 'q4_0');
  expect(() => core.add(a, b)).toThrow(core.ShapeError);
  expect(() => core.add(a, integers)).toThrow(/f32 and i32/);
  expect(() => core.divide(integers, integers)).toThrow(core.ShapeError);
  expect(() => core.negate(unsigned)).toThrow(core.ShapeError);
  expect(() => core.exp(quantized)).toThrow(core.ShapeError);
  expect(() => core.scale(a, Number.NaN)).toThrow(core.ArgumentError);
  for (const tensor of [a, b, integers, unsigned, quantized]) tensor.dispose();
  const limited = await core.openGpu({ without: ['limits'] });
  const large = limited.empty([66_000, 512]);
  expect(() => core.negate(large)).toThrow(/maxStorageBufferBindingSize is 134217728/);
  expect(() => core.negate(large)).toThrow(core.LimitError);
  limited.dispose();
});
