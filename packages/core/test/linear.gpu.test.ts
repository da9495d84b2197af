import {
  ArgumentError,
  blockSizes,
  concatenateRows,
  type Dtype,
  decodeBlocks,
  dequantize,
  Gpu,
  gatedActivation,
  gatedLinear,
  isQuantized,
  linear,
  type MatmulSchedule,
  type PlainDtype,
  quantizedDtypes,
  quantizedTensor,
  ShapeError,
  type Tensor,
} from '@saccade/core';
import {
  assertClose,
  hardwareKernelsGpu,
  linearReference,
  modestGpu,
  randomArray,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { goldenTensors } from './golden-tensors.ts';
import { randomGguf } from './quantized-blocks.ts';

const schedules: readonly MatmulSchedule[] = ['lanes', 'vector', 'tile', 'broadcast 1 x 64'];
const close = (k: number) => ({ absolute: 2e-6 * Math.max(k, 4), relative: 1e-5 });

/** A weight in any dtype, and its numbers on the host. */
async function randomWeight(
  gpu: Gpu,
  dtype: Dtype,
  n: number,
  k: number,
  seed: number,
): Promise<[Tensor, ArrayLike<number>]> {
  if (isQuantized(dtype)) {
    const gguf = randomGguf(dtype, (n * k) / blockSizes[dtype].elements, seed);
    return [quantizedTensor(gpu, dtype, [n, k], gguf), decodeBlocks(dtype, gguf)];
  }
  const weight = gpu.tensor(randomArray(n * k, seed), [n, k], dtype as PlainDtype);
  return [weight, await weight.read()];
}

async function compare(
  gpu: Gpu,
  dtype: Dtype,
  shapes: readonly (readonly [number, number, number])[],
  which = schedules,
) {
  for (const [m, k, n] of shapes) {
    const x = randomArray(m * k, 1);
    const [weight, values] = await randomWeight(gpu, dtype, n, k, m);
    const expected = linearReference(x, values, m, k, n);
    for (const schedule of which) {
      const out = gpu.tidy(() => linear(gpu.tensor(x, [m, k]), weight, { schedule }));
      expect(out.shape).toEqual([m, n]);
      assertClose(await out.read(), expected, { ...close(k), name: `${schedule} ${dtype} ${m}x${k}x${n}` });
      out.dispose();
    }
    weight.dispose();
  }
}

describe('linear', () => {
  it.each(['f32', 'f16', 'bf16'] as const)('%s weights equal the reference', async (dtype) => {
    const gpu = await sharedGpu();
    await compare(gpu, dtype, [
      [1, 35, 37],
      [5, 31, 65],
      [33, 66, 35],
    ]);
    await compare(gpu, dtype, [
      [1, 64, 33],
      [9, 36, 49],
    ]);
  });

  it('takes every small number of rows', async () => {
    const gpu = await sharedGpu();
    for (const dtype of ['f32', 'q4_1'] as const) {
      await compare(gpu, dtype, [
        [1, 32, 1],
        [2, 64, 33],
        [3, 96, 31],
        [4, 160, 8],
        [17, 32, 67],
      ]);
    }
  });

  it.each(['q4_0', 'q4_1', 'q8_0'] as const)('%s weights equal the reference', async (dtype) => {
    await compare(await sharedGpu(), dtype, [
      [1, 576, 37],
      [5, 32, 65],
      [35, 224, 67],
    ]);
  });

  it.each(['q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'] as const)('%s weights equal the reference', async (dtype) => {
    await compare(await sharedGpu(), dtype, [
      [1, 512, 37],
      [5, 256, 66],
    ]);
  });

  it.each(['broadcast 4 x 64', 'broadcast 4 x 128', 'broadcast 4 x 192', 'broadcast 2 x 192'] as const)(
    '%s: rows, columns and inner positions that stand out of the tiles',
    async (schedule) => {
      const gpu = await sharedGpu();
      await compare(
        gpu,
        'f32',
        [
          [8, 4, 8],
          [33, 388, 67],
          [65, 198, 32],
        ],
        [schedule],
      );
      await compare(gpu, 'q4_1', [[35, 448, 41]], [schedule]);
    },
  );

  it('sums up elsewhere where rows of the output would crowd a cache, and adds bias and residual once', async () => {
    const gpu = await sharedGpu();
    const schedule = 'broadcast 4 x 64';
    await compare(gpu, 'q4_1', [[35, 192, 512]], [schedule]);
    const [batches, rows, k, n] = [2, 19, 200, 1536];
    const [weight, values] = await randomWeight(gpu, 'f32', n, k, 3);
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      // Batches that stand apart, so that they are no further rows of one.
      const whole = gpu.tensor(randomArray(batches * (rows + 1) * k, 1), [batches, rows + 1, k]);
      const x = whole.slice(1, 0, rows);
      const bias = gpu.tensor(randomArray(n, 2), [n], dtype);
      const residual = gpu.tensor(randomArray(batches * rows * n, 4), [batches, rows, n], dtype);
      const [xs = [], biases = [], residuals = []] = await gpu.read([x, bias, residual]);
      const expected = linearReference(xs, values, batches * rows, k, n, { bias: biases, residual: residuals });
      const out = linear(x, weight, { bias, residual, schedule });
      assertClose(await out.read(), expected, { ...close(k), name: dtype });
      for (const tensor of [whole, x, bias, residual, out]) tensor.dispose();
    }
    weight.dispose();
  });

  it('runs on WebGPU defaults', async () => {
    const gpu = await modestGpu();
    await compare(gpu, 'q8_0', [[1, 64, 33]]);
    for (const dtype of ['bf16', 'q4_0'] as const) await compare(gpu, dtype, [[1, 64, 33]], ['lanes']);
    await compare(gpu, 'q6_k', [[3, 256, 34]], ['tile']);
    for (const dtype of ['f16', 'q4_1'] as const) await compare(gpu, dtype, [[5, 96, 34]], ['lanes', 'tile']);
  });

  it('picks a schedule by itself for GPUs and for software adapters', async () => {
    for (const gpu of [await sharedGpu(), await hardwareKernelsGpu()]) {
      for (const m of [1, 5]) {
        const [k, n] = [64, 33];
        const x = randomArray(m * k, 1);
        const [weight, values] = await randomWeight(gpu, 'q4_1', n, k, 2);
        const before = gpu.stats().liveBytes;
        const out = gpu.tidy(() => linear(gpu.tensor(x, [m, k]), weight));
        assertClose(await out.read(), linearReference(x, values, m, k, n), close(k));
        out.dispose();
        expect(gpu.stats().liveBytes).toBe(before);
        weight.dispose();
      }
    }
  });

  it('adds bias and residual, for activations of any float type and any leading axes', async () => {
    const gpu = await sharedGpu();
    const [a, b, k, n] = [2, 1, 32, 9];
    const [weight, values] = await randomWeight(gpu, 'q8_0', n, k, 3);
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const x = gpu.tensor(randomArray(a * b * k, 1), [a, b, k], dtype);
      const bias = gpu.tensor(randomArray(n, 2), [n], dtype);
      const residual = gpu.tensor(randomArray(a * b * n, 4), [a, b, n], dtype);
      const [xs = [], biases = [], residuals = []] = await gpu.read([x, bias, residual]);
      const expected = linearReference(xs, values, a * b, k, n, { bias: biases, residual: residuals });
      for (const schedule of dtype === 'f16' ? schedules : (['lanes'] as const)) {
        const out = linear(x, weight, { bias, residual, schedule });
        expect(out.shape).toEqual([a, b, n]);
        assertClose(await out.read(), expected, { ...close(k), name: `${schedule} ${dtype}` });
        out.dispose();
      }
      for (const tensor of [x, bias, residual]) tensor.dispose();
    }
    weight.dispose();
  });

  it('reads strided activations and transposed weights in place', async () => {
    const gpu = await sharedGpu();
    const [heads, tokens, size, n] = [3, 5, 8, 7];
    const x = randomArray(heads * tokens * size, 1);
    const weight = randomArray(n * size, 2);
    const permuted = new Float32Array(x.length);
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < tokens; t++) {
        for (let d = 0; d < size; d++) permuted[(t * heads + h) * size + d] = x[(h * tokens + t) * size + d] as number;
      }
    }
    const transposed = Float32Array.from(
      { length: n * size },
      (_, i) => weight[(i % n) * size + Math.floor(i / n)] as number,
    );
    for (const schedule of schedules) {
      const out = gpu.tidy(() =>
        linear(gpu.tensor(x, [heads, tokens, size]).transpose(1, 0, 2), gpu.tensor(transposed, [size, n]).transpose(), {
          schedule,
        }),
      );
      expect(out.shape).toEqual([tokens, heads, n]);
      assertClose(await out.read(), linearReference(permuted, weight, tokens * heads, size, n), close(size));
      out.dispose();
    }
  });

  it.each(['f32', 'bf16', 'q4_1', 'q8_0'] as const)('takes %s weights that are split over buffers', async (dtype) => {
    const gpu = await smallBindings(4096);
    const [m, k, n] = [3, 64, 129];
    const [weight, values] = await randomWeight(gpu, dtype, n, k, 5);
    expect(weight.storage.pieces.length).toBeGreaterThan(2);
    const x = randomArray(m * k, 1);
    const bias = randomArray(n, 2);
    for (const schedule of dtype === 'q4_1' ? schedules : (['lanes'] as const)) {
      const out = gpu.tidy(() => linear(gpu.tensor(x, [m, k]), weight, { bias: gpu.tensor(bias), schedule }));
      assertClose(await out.read(), linearReference(x, values, m, k, n, { bias }), {
        ...close(k),
        name: `${schedule} ${dtype}`,
      });
      out.dispose();
    }
    weight.dispose();
  });

  it('loads four columns at once of a transposed weight, and adds bias and residual', async () => {
    const gpu = await sharedGpu();
    const [k, n] = [21, 36];
    for (const m of [1, 2]) {
      const [x, weight, bias, residual] = [m * k, k * n, n, m * n].map((size, seed) => randomArray(size, seed + 1)) as [
        Float32Array,
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      const rows = Float32Array.from(weight, (_, at) => weight[(at % k) * n + Math.floor(at / k)] as number);
      const out = gpu.tidy(() =>
        linear(gpu.tensor(x, [m, k]), gpu.tensor(weight, [k, n]).transpose(), {
          bias: gpu.tensor(bias, [n]),
          residual: gpu.tensor(residual, [m, n]),
        }),
      );
      assertClose(await out.read(), linearReference(x, rows, m, k, n, { bias, residual }), close(k));
      out.dispose();
    }
  });

  it('takes a weight over the binding limit of WebGPU defaults', async () => {
    const gpu = await modestGpu();
    const [k, n] = [256, 131_072 + 5];
    const values = new Float32Array(n * k);
    for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 2003) / 1000 - 1;
    const weight = gpu.fromBytes(new Uint8Array(values.buffer), [n, k], 'f32');
    expect(weight.storage.pieces.length).toBe(2);
    const x = randomArray(k, 1);
    const out = gpu.tidy(() => linear(gpu.tensor(x, [k]), weight));
    assertClose(await out.read(), linearReference(x, values, 1, k, n), close(k));
    out.dispose();
    weight.dispose();
    gpu.trim();
  });

  it('refuses wrong shapes, types and views', async () => {
    const gpu = await sharedGpu();
    const [weight] = await randomWeight(gpu, 'q4_0', 4, 64, 1);
    gpu.tidy(() => {
      const x = gpu.zeros([2, 64]);
      expect(() => linear(x, gpu.zeros([4, 32]))).toThrow(ShapeError);
      expect(() => linear(x, weight.slice(0, 0, 2))).toThrow(/view of part of a quantized/);
      expect(() => linear(x, weight, { bias: gpu.zeros([5]) })).toThrow(/bias has shape \[5\]/);
      expect(() => linear(x, weight, { residual: gpu.zeros([4]) })).toThrow(/residual has shape/);
      expect(() => linear(gpu.zeros([2, 64], 'i32'), weight)).toThrow(ArgumentError);
      expect(() => linear(x, gpu.zeros([4, 64], 'u32'))).toThrow(ArgumentError);
      expect(() => linear(gpu.zeros([]), weight)).toThrow(ShapeError);
      expect(() => quantizedTensor(gpu, 'q4_0', [2, 48], new Uint8Array(54))).toThrow(/multiple of 32/);
      expect(() => quantizedTensor(gpu, 'q6_k', [2, 64], new Uint8Array(105))).toThrow(/multiple of 256/);
      expect(() => quantizedTensor(gpu, 'q4_0', [2, 64], new Uint8Array(71))).toThrow(/72 bytes/);
    });
    weight.dispose();
  });

  it('equals PyTorch', async () => {
    const gpu = await sharedGpu();
    const golden = goldenTensors('ops');
    const tensor = (name: string) => gpu.tensor(golden(name).data, golden(name).shape);
    for (const schedule of schedules) {
      const out = gpu.tidy(() =>
        linear(tensor('matmul.a'), tensor('linear.weight'), { bias: tensor('linear.bias'), schedule }),
      );
      assertClose(await out.read(), golden('linear.out').data, { absolute: 1e-5, relative: 1e-5 });
      out.dispose();
    }
  });
});

describe('gatedLinear', () => {
  const fuses = ({ capabilities: { software, subgroups, subgroupMinSize } }: Gpu) =>
    software && subgroups && subgroupMinSize >= 8;

  it.each(['q4_1', 'q8_0', 'f32'] as const)('%s: is the gated activation of the product', async (dtype) => {
    const [k, f] = [96, 37];
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      const [weight] = await randomWeight(gpu, dtype, 2 * f, k, 3);
      for (const m of [1, 3, 6]) {
        const x = gpu.tensor(randomArray(m * k, m), [m, k]);
        for (const activation of ['silu', 'geluTanh'] as const) {
          const before = gpu.stats().dispatches;
          const out = gpu.tidy(() => gatedLinear(x, weight, { activation }));
          const launches = gpu.stats().dispatches - before;
          expect(launches).toBe(dtype !== 'f32' && m <= 4 && fuses(gpu) ? 1 : 2);
          expect(out.shape).toEqual([m, f]);
          const expected = gpu.tidy(() => gatedActivation(linear(x, weight), { activation }));
          assertClose(await out.read(), await expected.read(), { absolute: 1e-4, relative: 1e-4 });
          for (const tensor of [out, expected]) tensor.dispose();
        }
        x.dispose();
      }
      weight.dispose();
    }
  });

  it('refuses an odd number of rows and unknown activations', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      expect(() => gatedLinear(gpu.zeros([1, 4]), gpu.zeros([3, 4]), { activation: 'silu' })).toThrow(ShapeError);
      const unknown = { activation: 'none' } as unknown as { activation: 'silu' };
      expect(() => gatedLinear(gpu.zeros([1, 4]), gpu.zeros([2, 4]), unknown)).toThrow(/gatedLinear: activation/);
    });
  });
});

describe('concatenateRows', () => {
  it.each(['f32', 'bf16', 'q4_0', 'q4_1', 'q8_0', 'q5_1', 'q5_k'] as const)(
    '%s: stacks weights, also into and out of split ones',
    async (dtype) => {
      for (const gpu of [await sharedGpu(), await smallBindings(8192)]) {
        const k = 256;
        const parts = await Promise.all([3, 40, 2].map((n, index) => randomWeight(gpu, dtype, n, k, index)));
        const whole = concatenateRows(parts.map(([weight]) => weight));
        expect(whole.shape).toEqual([45, k]);
        const values = parts.flatMap(([, numbers]) => Array.from(numbers));
        const plain = whole.dtype.startsWith('q') ? dequantize(whole) : whole.alias();
        expect(Array.from(await plain.read())).toEqual(values);
        for (const tensor of [whole, plain, ...parts.map(([weight]) => weight)]) tensor.dispose();
      }
    },
  );

  it('refuses what does not stack', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      expect(() => concatenateRows([])).toThrow(ArgumentError);
      expect(() => concatenateRows([gpu.zeros([2, 4]), gpu.zeros([2, 5])])).toThrow(ShapeError);
      expect(() => concatenateRows([gpu.zeros([2, 4]), gpu.zeros([2, 4], 'f16')])).toThrow(/one dtype/);
      expect(() => concatenateRows([gpu.zeros([1, 3], 'f16'), gpu.zeros([1, 3], 'f16')])).toThrow(/32-bit word/);
    });
  });
});

describe('dequantize', () => {
  it.each(quantizedDtypes)('%s: equals the gguf package to the last bit', async (dtype) => {
    const golden = goldenTensors('dequantize');
    const blocks = golden(`${dtype}.blocks`);
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      const shape = [blocks.shape[0] as number, blockSizes[dtype].elements];
      const out = gpu.tidy(() => dequantize(quantizedTensor(gpu, dtype, shape, blocks.data as Uint8Array)));
      expect(out.shape).toEqual(shape);
      expect(Array.from(await out.read())).toEqual(Array.from(golden(`${dtype}.values`).data));
      out.dispose();
    }
  });

  it('takes any rank and split tensors, and refuses the rest', async () => {
    const gpu = await smallBindings(2048);
    const gguf = randomGguf('q4_1', 2 * 32 * 3, 1);
    const whole = quantizedTensor(gpu, 'q4_1', [32, 2, 96], gguf);
    const out = dequantize(whole);
    expect(whole.storage.pieces.length).toBeGreaterThan(1);
    expect(Array.from(await out.read())).toEqual(Array.from(decodeBlocks('q4_1', gguf)));
    expect(() => dequantize(out)).toThrow(ArgumentError);
    whole.dispose();
    out.dispose();
  });
});

/** The shared device under a smaller binding limit, so that small tensors are split. */
async function smallBindings(maxStorageBinding: number): Promise<Gpu> {
  const { device, capabilities, adapter } = await sharedGpu();
  return new Gpu(device, { ...capabilities, maxStorageBinding }, adapter, { poison: true });
}
