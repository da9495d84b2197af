import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError, logSoftmax, ShapeError, softmax } from '../src/index.ts';
import { lowestScore } from '../src/kernels/wgsl.ts';
import { hardwareKernelsGpu } from '../src/testing/hardware-kernels-gpu.ts';
import {
  assertClose,
  logSoftmaxReference,
  modestGpu,
  randomArray,
  sharedGpu,
  softmaxReference,
  transposeReference,
} from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
  ['hardware kernels', hardwareKernelsGpu],
] as const)('softmax on the %s device', (_, open) => {
  it('equals the reference for rows of any length and scores of any size, masked ones too', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const inputs = fc.record({
      rows: fc.constantFrom(1, 2, 5),
      columns: fc.constantFrom(1, 2, 7, 31, 33, 257, 1031),
      scale: fc.constantFrom(1, 30, 1e4, 1e30, 3e38),
      masked: fc.double({ min: 0, max: 1 }),
      seed: fc.nat(1000),
    });
    await fc.assert(
      fc.asyncProperty(inputs, async ({ rows, columns, scale, masked, seed }) => {
        const hidden = randomArray(rows * columns, seed + 1, { scale: 1 });
        const data = randomArray(rows * columns, seed, { scale }).map((value, i) =>
          (hidden[i] as number) < 2 * masked - 1 ? lowestScore : value,
        );
        const x = gpu.tensor(data, [rows, columns]);
        const [soft, log] = [softmax(x), logSoftmax(x)];
        const name = `[${rows}, ${columns}] scale ${scale}`;
        assertClose(await soft.read(), softmaxReference(data, columns), { relative: 2e-5, absolute: 1e-7, name });
        const expected = logSoftmaxReference(data, columns);
        const logs = (await log.read()).map((value) => (value <= lowestScore / 2 ? Number.NEGATIVE_INFINITY : value));
        // Differences of the order of the sentinel read as masked.
        const shown = expected.map((value) => (value <= lowestScore / 2 ? Number.NEGATIVE_INFINITY : value));
        assertClose(logs, shown, { relative: 1e-5, absolute: 1e-5, name });
        for (const tensor of [x, soft, log]) tensor.dispose();
      }),
      { numRuns: 25, seed: 1 },
    );
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('gives zeros for a fully masked row', async () => {
    const gpu = await open();
    const x = gpu.tensor([lowestScore, lowestScore, -3e38, 0, 1, lowestScore], [2, 3]);
    const out = softmax(x);
    const e = Math.exp(-1);
    assertClose(await out.read(), [0, 0, 0, e / (1 + e), 1 / (1 + e), 0], { relative: 1e-6 });
    x.dispose();
    out.dispose();
  });

  it('works along any axis of strided and packed views', async () => {
    const gpu = await open();
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const x = gpu.tensor(randomArray(3 * 5 * 7, 71, { scale: 4 }), [3, 5, 7], dtype);
      const data = await x.read();
      const view = x.transpose(1, 0, 2);
      const out = softmax(view, { axis: 0 });
      expect(out.shape).toEqual([5, 3, 7]);
      // Rows run along the axis of size 5.
      const rows = softmaxReference(transposeReference({ data, shape: [3, 5, 7] }, [0, 2, 1]), 5);
      const expected = transposeReference({ data: rows, shape: [3, 7, 5] }, [2, 0, 1]);
      assertClose(await out.read(), expected, { relative: 1e-5, absolute: 1e-7, name: dtype });
      for (const tensor of [x, view, out]) tensor.dispose();
    }
  });

  it('keeps its digits over a vocabulary', async () => {
    const gpu = await open();
    const data = randomArray(49_152, 72, { scale: 10 });
    const x = gpu.tensor(data, [1, 49_152]);
    const out = logSoftmax(x);
    assertClose(await out.read(), logSoftmaxReference(data, 49_152), { absolute: 1e-5 });
    x.dispose();
    out.dispose();
  });
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([2, 3]);
  const integers = gpu.zeros([2, 3], 'u32');
  const empty = gpu.zeros([0, 3]);
  expect(() => softmax(x, { axis: 2 })).toThrow(ArgumentError);
  expect(() => softmax(integers)).toThrow(ShapeError);
  const nothing = softmax(empty);
  expect(nothing.shape).toEqual([0, 3]);
  for (const tensor of [x, integers, empty, nothing]) tensor.dispose();
});
