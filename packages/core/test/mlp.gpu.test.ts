import { describe, expect, it } from 'vitest';
import { ArgumentError, gatedActivation, ShapeError } from '../src/index.ts';
import { assertClose, gatedActivationReference, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('gatedActivation on the %s device', (_, open) => {
  it.each(['silu', 'sigmoid', 'gelu', 'geluTanh', 'geluSigmoid'] as const)(
    '%s, separate and fused, f32 and f16',
    async (activation) => {
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
    },
  );

  it('stays finite for gates of any size', async () => {
    const gpu = await open();
    const gate = Float32Array.from([-3e38, -1e6, -90, 90, 1e6, 1e20]);
    const [gates, ups] = [gpu.tensor(gate), gpu.tensor(new Float32Array(6).fill(0.5))];
    for (const activation of ['silu', 'gelu', 'geluTanh'] as const) {
      const out = gatedActivation(gates, ups, { activation });
      assertClose(await out.read(), [0, 0, 0, 45, 5e5, 5e19], { relative: 1e-6, absolute: 1e-30, name: activation });
      out.dispose();
    }
    const out = gatedActivation(gates, ups, { activation: 'sigmoid' });
    assertClose(await out.read(), [0, 0, 0, 0.5, 0.5, 0.5], { relative: 1e-6, absolute: 1e-30, name: 'sigmoid' });
    for (const tensor of [gates, ups, out]) tensor.dispose();
  });

  it('reads broadcast and transposed views in place', async () => {
    const gpu = await open();
    const [gate, up] = [randomArray(6, 42, { scale: 3 }), randomArray(30, 43)];
    const [gates, ups] = [gpu.tensor(gate, [2, 3, 1]), gpu.tensor(up, [3, 2, 5])];
    const before = gpu.stats().dispatches;
    const out = gpu.tidy(() =>
      gatedActivation(gates.broadcastTo([2, 3, 5]), ups.transpose(1, 0, 2), { activation: 'sigmoid' }),
    );
    expect(gpu.stats().dispatches - before).toBe(1);
    const expected = Array.from({ length: 30 }, (__, at) => {
      const [b, n, d] = [Math.floor(at / 15), Math.floor(at / 5) % 3, at % 5];
      return (up[(n * 2 + b) * 5 + d] as number) / (1 + Math.exp(-(gate[b * 3 + n] as number)));
    });
    assertClose(await out.read(), expected, { relative: 1e-5, absolute: 1e-6, name: 'views' });
    for (const tensor of [gates, ups, out]) tensor.dispose();
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
