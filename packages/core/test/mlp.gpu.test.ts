import { describe, expect, it } from 'vitest';
import { ArgumentError, gatedActivation, ShapeError } from '../src/index.ts';
import { assertClose, gatedActivationReference, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('gatedActivation on the %s device', (_, open) => {
  it.each(['silu', 'gelu', 'geluTanh'] as const)('%s, separate and fused, f32 and f16', async (activation) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const [rows, width] of [
      [1, 1],
      [3, 7],
      [5, 1536],
      [67, 33],
    ] as const) {
      for (const dtype of ['f32', 'f16'] as const) {
        const both = gpu.tensor(randomArray(rows * 2 * width, 41, { scale: 30 }), [rows, 2 * width], dtype);
        const data = await both.read();
        const gate = data.filter((__, i) => i % (2 * width) < width);
        const up = data.filter((__, i) => i % (2 * width) >= width);
        const [gates, ups] = [gpu.tensor(gate, [rows, width], dtype), gpu.tensor(up, [rows, width], dtype)];
        const fused = gatedActivation(both, { activation });
        const separate = gatedActivation(gates, ups, { activation });
        const expected = gatedActivationReference(gate, up, activation);
        for (const out of [fused, separate]) {
          expect([out.dtype, ...out.shape]).toEqual([dtype, rows, width]);
          const relative = dtype === 'f32' ? 1e-5 : 1e-3;
          assertClose(await out.read(), expected, { relative, absolute: 1e-5, name: `${dtype} [${rows}, ${width}]` });
        }
        for (const tensor of [both, gates, ups, fused, separate]) tensor.dispose();
      }
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('stays finite for gates of any size', async () => {
    const gpu = await open();
    const gate = Float32Array.from([-3e38, -1e6, -90, 90, 1e6, 1e20]);
    const [gates, ups] = [gpu.tensor(gate), gpu.tensor(new Float32Array(6).fill(0.5))];
    for (const activation of ['silu', 'gelu', 'geluTanh'] as const) {
      const out = gatedActivation(gates, ups, { activation });
      assertClose(await out.read(), [0, 0, 0, 45, 5e5, 5e19], { relative: 1e-6, absolute: 1e-30, name: activation });
      out.dispose();
    }
    gates.dispose();
    ups.dispose();
  });
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const a = gpu.zeros([2, 3]);
  const b = gpu.zeros([2, 4]);
  const integers = gpu.zeros([2, 4], 'i32');
  expect(() => gatedActivation(a, b, { activation: 'silu' })).toThrow(ShapeError);
  expect(() => gatedActivation(a, { activation: 'silu' })).toThrow(ShapeError);
  expect(() => gatedActivation(integers, b, { activation: 'silu' })).toThrow(ShapeError);
  expect(() => gatedActivation(b, { activation: 'swish' as 'silu' })).toThrow(ArgumentError);
  for (const tensor of [a, b, integers]) tensor.dispose();
});
