import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError, argmax, max, mean, min, ShapeError, sum } from '../src/index.ts';
import { elementCount } from '../src/tensor/shape.ts';
import { hardwareKernelsGpu } from '../src/testing/hardware-kernels-gpu.ts';
import { assertClose, modestGpu, randomArray, reduceReference, sharedGpu } from '../src/testing/index.ts';

const reductions = { sum, mean, max, min };
const names = ['sum', 'mean', 'max', 'min'] as const;

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
  ['hardware kernels', hardwareKernelsGpu],
] as const)('reductions on the %s device', (_, open) => {
  it.each(names)('%s over any axes of any shape', async (name) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const size = fc.constantFrom(1, 2, 3, 5, 8, 17, 67);
    const inputs = fc.record({
      shape: fc.array(size, { minLength: 1, maxLength: 4 }).filter((shape) => elementCount(shape) < 20_000),
      reduced: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      keepDims: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(inputs, async ({ shape, reduced, keepDims }) => {
        const axes = shape.map((__, axis) => axis).filter((axis) => reduced[axis]);
        const data = randomArray(elementCount(shape), 61, { scale: 10 });
        const x = gpu.tensor(data, shape);
        const out = reductions[name](x, { axis: axes, keepDims });
        const kept = keepDims
          ? shape.map((value, axis) => (reduced[axis] ? 1 : value))
          : shape.filter((__, axis) => !reduced[axis]);
        expect(out.shape).toEqual(kept);
        const expected = reduceReference(name, data, shape, axes);
        assertClose(await out.read(), expected, { relative: 1e-5, absolute: 1e-3, name: `[${shape}] over ${axes}` });
        x.dispose();
        out.dispose();
      }),
      { numRuns: 20, seed: 1 },
    );
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('reads strided views and packed floats, and keeps integers exact', async () => {
    const gpu = await open();
    const data = Array.from({ length: 7 * 38 }, (__, i) => ((i * 7919) % 200) - 100);
    for (const dtype of ['f32', 'f16', 'bf16', 'i32'] as const) {
      const x = gpu.tensor(data, [7, 38], dtype);
      const view = x.slice(1, 1, 38);
      const shown = data.filter((__, i) => i % 38 !== 0);
      for (const axis of [0, 1]) {
        for (const name of ['sum', 'max', 'min'] as const) {
          const out = reductions[name](view, { axis });
          expect(out.dtype).toBe(dtype === 'i32' ? 'i32' : 'f32');
          const expected = reduceReference(name, shown, [7, 37], [axis]);
          assertClose(await out.read(), expected, { name: `${name} ${dtype} ${axis}` });
          out.dispose();
        }
      }
      x.dispose();
      view.dispose();
    }
    const large = gpu.tensor([4_000_000_000, 5, 4_100_000_000], [3], 'u32');
    const top = max(large);
    expect(await top.read()).toEqual(Uint32Array.of(4_100_000_000));
    large.dispose();
    top.dispose();
  });

  it('argmax takes the first of equal elements', async () => {
    const gpu = await open();
    for (const shape of [
      [1, 1],
      [3, 5, 7],
      [4, 1031],
    ]) {
      const data = randomArray(elementCount(shape), 62).map((value) => Math.round(value * 5) - 20);
      const x = gpu.tensor(data, shape);
      for (let axis = 0; axis < shape.length; axis++) {
        const out = argmax(x, { axis });
        expect(out.dtype).toBe('u32');
        assertClose(await out.read(), reduceReference('argmax', data, shape, [axis]), { name: `[${shape}] ${axis}` });
        out.dispose();
      }
      x.dispose();
    }
  });

  it('argmax finds numbers of any size', async () => {
    const gpu = await open();
    const x = gpu.tensor([-3e38, -2.9e38, -3.1e38, 1e-39, 3e38, 2.9e38], [2, 3]);
    const out = argmax(x, { keepDims: true });
    expect(out.shape).toEqual([2, 1]);
    expect([...(await out.read())]).toEqual([1, 1]);
    x.dispose();
    out.dispose();
  });

  it('sums long rows in chunks without losing digits', async () => {
    const gpu = await open();
    const data = randomArray(1_000_003, 63).map((value) => value + 1);
    const x = gpu.tensor(data);
    for (const name of names) {
      const out = reductions[name](x);
      expect(out.shape).toEqual([]);
      assertClose(await out.read(), reduceReference(name, data, [data.length], [0]), { relative: 1e-6, name });
      out.dispose();
    }
    x.dispose();
  });
});

it('refuses what does not fit and sums nothing to 0', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([2, 3]);
  const empty = gpu.zeros([2, 0]);
  const integers = gpu.zeros([2, 3], 'i32');
  expect(() => sum(x, { axis: 2 })).toThrow(ArgumentError);
  expect(() => sum(x, { axis: [0, -2] })).toThrow(ArgumentError);
  expect(() => mean(integers)).toThrow(ShapeError);
  expect(() => max(empty, { axis: 1 })).toThrow(ShapeError);
  expect(() => argmax(empty)).toThrow(ShapeError);
  const nothing = sum(empty, { axis: 1 });
  expect([...(await nothing.read())]).toEqual([0, 0]);
  const none = sum(empty, { axis: 0 });
  expect(none.shape).toEqual([0]);
  for (const tensor of [x, empty, integers, nothing, none]) tensor.dispose();
});
