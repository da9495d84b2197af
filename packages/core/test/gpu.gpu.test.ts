import { describe, expect, it } from 'vitest';
import { BufferPool } from '../src/device/buffer-pool.ts';
import {
  ArgumentError,
  add,
  cast,
  DeviceLostError,
  defineKernel,
  divide,
  exp,
  type Gpu,
  GpuValidationError,
  gpuFromDevice,
  matmul,
  multiply,
  NonFiniteError,
  OutOfMemoryError,
  openGpu,
  scale,
  type Tensor,
} from '../src/index.ts';
import { openModestGpu, sharedGpu } from '../src/testing/index.ts';

const addOne = defineKernel<Record<never, never>>({
  name: 'test.addOne',
  bindings: () => [
    { name: 'source', type: 'array<f32>', access: 'read' },
    { name: 'out', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['size', 'u32']],
  workgroupSize: () => 64,
  source: () => ({
    main: '  let index = group * 64u + lane;\n  if (index < params.size) { out[index] = source[index] + 1.0; }',
  }),
});

/** Writes the bits of NaN: no arithmetic of WGSL promises one. */
const makeNaN = defineKernel<Record<never, never>>({
  name: 'test.makeNaN',
  bindings: () => [{ name: 'out', type: 'array<u32>', access: 'read_write' }],
  parameters: [],
  workgroupSize: () => 1,
  source: () => ({ main: '  out[1] = 0x7fc00000u;' }),
});

const broken = defineKernel<Record<never, never>>({
  name: 'test.broken',
  bindings: () => [{ name: 'out', type: 'array<f32>', access: 'read_write' }],
  parameters: [],
  workgroupSize: () => 1,
  source: () => ({ main: '  out[0] = undefined_function();' }),
});

function plusOne(gpu: Gpu, x: Tensor): Tensor {
  const out = gpu.empty(x.shape);
  gpu.launch(addOne, {}, { bindings: [x, out], parameters: [x.size], workgroups: Math.ceil(x.size / 64) });
  return out;
}

function nanTensor(gpu: Gpu): Tensor {
  const out = gpu.zeros([3]);
  gpu.launch(makeNaN, {}, { bindings: [out], workgroups: 1 });
  return out;
}

describe('recording', () => {
  it('runs thousands of dependent dispatches in order, each with its own parameters', async () => {
    const gpu = await sharedGpu();
    let x = gpu.zeros([5]);
    for (let i = 0; i < 2500; i++) {
      const next = scale(x, 1, i % 7);
      x.dispose();
      x = next;
    }
    let expected = 0;
    for (let i = 0; i < 2500; i++) expected += i % 7;
    expect([...(await x.read())]).toEqual(new Array(5).fill(expected));
    x.dispose();
  });

  it('keeps buffers until the commands that use them have run, although the pool keeps none', async () => {
    const gpu = await openGpu({ maxPooledBytes: 0 });
    const x = gpu.tensor([1, 2, 3]);
    const y = plusOne(gpu, x);
    x.dispose();
    const z = plusOne(gpu, y);
    y.dispose();
    gpu.trim();
    expect([...(await z.read())]).toEqual([3, 4, 5]);
    z.dispose();
    expect(gpu.stats().pooledBytes).toBe(0);
    gpu.dispose();
  });

  it('counts one readback and one submission for several tensors', async () => {
    const gpu = await sharedGpu();
    const [a, b] = [gpu.tensor([1]), gpu.tensor([2], [1], 'u32')];
    gpu.flush();
    const before = gpu.stats();
    const sum = plusOne(gpu, a);
    expect(await gpu.read([sum, b])).toEqual([Float32Array.of(2), Uint32Array.of(2)]);
    const after = gpu.stats();
    expect(after.readbacks - before.readbacks).toBe(1);
    expect(after.dispatches - before.dispatches).toBe(1);
    for (const tensor of [a, b, sum]) tensor.dispose();
  });

  it('compiles in advance', async () => {
    const gpu = await openGpu();
    await gpu.prepare(addOne, [{}]);
    expect(gpu.stats().pipelinesCreated).toBe(1);
    const x = gpu.zeros([3]);
    const y = plusOne(gpu, x);
    expect(gpu.stats().pipelinesCreated).toBe(1);
    expect([...(await y.read())]).toEqual([1, 1, 1]);
    await expect(gpu.prepare(broken, [{}])).rejects.toThrow(GpuValidationError);
    gpu.dispose();
  });

  it('prints dispatches or WGSL where asked', async () => {
    for (const debug of ['dispatch', 'wgsl'] as const) {
      const lines: string[] = [];
      const gpu = await openGpu({ debug, log: (line) => lines.push(line) });
      const x = gpu.zeros([3]);
      await plusOne(gpu, x).read();
      expect(lines.length).toBe(1);
      expect(lines[0]).toContain(debug === 'wgsl' ? '@compute' : 'test.addOne {} workgroups=1 [3]');
      gpu.dispose();
    }
  });
});

describe('errors', () => {
  it('a kernel that does not compile surfaces as GpuValidationError with the compiler message; the device goes on', async () => {
    const gpu = await openGpu();
    const x = gpu.tensor([1, 2, 3]);
    gpu.launch(broken, {}, { bindings: [x], workgroups: 1 });
    const error = await x.read().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(GpuValidationError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain('undefined_function');
    // Later messages about the same pipeline may still arrive.
    await gpu.synchronize().catch(() => undefined);
    const y = plusOne(gpu, x);
    expect([...(await y.read())]).toEqual([2, 3, 4]);
    gpu.dispose();
  });

  it('one buffer bound as input and output is refused by WebGPU and surfaces', async () => {
    const gpu = await openGpu();
    const x = gpu.tensor([1, 2, 3]);
    gpu.launch(addOne, {}, { bindings: [x, x], parameters: [3], workgroups: 1 });
    await expect(x.read()).rejects.toThrow(GpuValidationError);
    gpu.dispose();
  });

  it('a budget refuses what does not fit, and says so', async () => {
    const gpu = await openGpu({ maxBytes: 1_000_000 });
    const x = gpu.zeros([200_000]);
    expect(() => gpu.zeros([200_000])).toThrow(OutOfMemoryError);
    expect(() => gpu.zeros([200_000])).toThrow(/budget of 1000000 bytes/);
    x.dispose();
    // What the pool holds makes room.
    const y = gpu.zeros([100_000]);
    const z = gpu.zeros([120_000]);
    expect(gpu.stats().liveBytes).toBeLessThanOrEqual(1_000_000);
    y.dispose();
    z.dispose();
    gpu.dispose();
  });

  it('a split allocation that runs out of budget gives its pieces back', async () => {
    const gpu = await openGpu({ maxBytes: 200_000_000 });
    expect(() => gpu.empty([100_000, 1000])).toThrow(OutOfMemoryError);
    expect(gpu.stats().liveBytes).toBe(0);
    gpu.dispose();
  });

  it('buffers are not rounded up over the device limit', async () => {
    const gpu = await openGpu();
    const pool = new BufferPool(gpu.device, 1000, { maxBytes: 1e6, maxPooledBytes: 1e6 }, () => undefined);
    expect(pool.acquire(1000).bytes).toBe(1000);
    expect(() => pool.acquire(1004)).toThrow(/maxBufferSize is 1000/);
    gpu.dispose();
  });

  it('a lost device rejects pending and later reads; a new one works', async () => {
    const gpu = await openGpu();
    const x = gpu.tensor([1, 2, 3]);
    const pending = x.read();
    gpu.device.destroy();
    await expect(pending).rejects.toThrow(DeviceLostError);
    expect(gpu.alive).toBe(false);
    await expect(x.read()).rejects.toThrow(DeviceLostError);
    expect(() => plusOne(gpu, x)).toThrow(DeviceLostError);
    await expect(gpu.synchronize()).rejects.toThrow(DeviceLostError);
    x.dispose();
    const next = await openGpu();
    const y = plusOne(next, next.tensor([1]));
    expect([...(await y.read())]).toEqual([2]);
    next.dispose();
    next.dispose();
    expect(() => next.zeros([1])).toThrow(DeviceLostError);
  });

  it('a lost device rejects waits of every kind with its own error', async () => {
    const gpu = await openGpu();
    plusOne(gpu, gpu.zeros([1]));
    const waits = Promise.allSettled([gpu.prepare(broken, [{}]), gpu.prepare(makeNaN, [{}]), gpu.synchronize()]);
    gpu.device.destroy();
    for (const wait of await waits) expect(wait).toEqual({ status: 'rejected', reason: expect.any(DeviceLostError) });
    await expect(gpu.profile(() => undefined)).rejects.toThrow(DeviceLostError);
    const midway = await openGpu();
    const profile = midway.profile(async () => {
      const x = midway.zeros([1]);
      midway.device.destroy();
      await x.read();
    });
    await expect(profile).rejects.toThrow(DeviceLostError);
  });

  it('tensors of another device are refused', async () => {
    const [gpu, other] = [await sharedGpu(), await openGpu()];
    const before = gpu.stats().liveBytes;
    const [x, y] = [other.zeros([3]), gpu.zeros([3])];
    expect(() => gpu.launch(addOne, {}, { bindings: [x, y], parameters: [3], workgroups: 1 })).toThrow(ArgumentError);
    expect(() => add(x, y)).toThrow(ArgumentError);
    expect(() => add(y, x)).toThrow(ArgumentError);
    await expect(gpu.read([y, x])).rejects.toThrow(ArgumentError);
    y.dispose();
    // Nothing is left for the garbage collector, which would free it in the midst of a later test that counts bytes.
    expect(gpu.stats().liveBytes).toBe(before);
    other.dispose();
  });

  it('a device that the caller opened works', async () => {
    await sharedGpu();
    const { platformGpu } = await import('#provider');
    const adapter = await (await platformGpu()).requestAdapter();
    const device = await (adapter as GPUAdapter).requestDevice();
    const gpu = gpuFromDevice(device, { adapterInfo: (adapter as GPUAdapter).info });
    expect(gpu.capabilities.f16).toBe(false);
    expect(gpu.capabilities.maxInvocations).toBe(256);
    const y = plusOne(gpu, gpu.tensor([1]));
    expect([...(await y.read())]).toEqual([2]);
    gpu.dispose();
  });
});

describe('finding NaN and infinity', () => {
  it('gpu.check names the tensor and the element', async () => {
    const gpu = await sharedGpu();
    const good = gpu.tensor([1, 2, 3]);
    const bad = nanTensor(gpu);
    const infinite = gpu.tensor([1, Number.NEGATIVE_INFINITY]);
    await gpu.check(good);
    await expect(gpu.check(bad, 'logits')).rejects.toThrow(/logits f32\[3\], element 1, holds NaN/);
    await expect(gpu.check(infinite)).rejects.toThrow(NonFiniteError);
    for (const tensor of [good, bad, infinite]) tensor.dispose();
  });

  it('the debug mode check names the first op that made one', async () => {
    const gpu = await openGpu({ debug: 'check' });
    const x = gpu.tensor([0.5, 1, 2]);
    const fine = exp(x);
    await fine.read();
    const bad = gpu.tensor([Number.POSITIVE_INFINITY, 1, 1]);
    const first = multiply(x, bad);
    const later = add(first, x);
    const error = await later.read().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(NonFiniteError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain('binary ([3])');
    // The count starts anew.
    expect([...(await fine.read())].length).toBe(3);
    const again = divide(x, x);
    expect([...(await again.read())]).toEqual([1, 1, 1]);
    gpu.dispose();
  });

  it('the debug mode check sees every output: of matrix products, of 16-bit floats, at an odd last place', async () => {
    const gpu = await openModestGpu({ debug: 'check' });
    const large = gpu.tensor([3e38, 1, 1, 3e38], [2, 2]);
    const product = matmul(large, large);
    const shifted = add(product, large);
    await expect(shifted.read()).rejects.toThrow(/matmul.*holds NaN or infinity/);
    for (const dtype of ['f16', 'bf16'] as const) {
      const x = gpu.tensor([1, 2, Number.POSITIVE_INFINITY]);
      const narrow = cast(x, dtype);
      await expect(add(narrow, narrow).read()).rejects.toThrow(/launch \d+, copy \(\[3\]\), holds/);
    }
    gpu.dispose();
  });

  it('the debug mode check finds nothing in memory that nobody has written', async () => {
    const gpu = await openGpu({ debug: 'check' });
    gpu.tensor(new Array(512).fill(0xffffffff), [512], 'u32').dispose();
    // The same buffer again, of which the kernel writes the first elements only.
    const target = gpu.empty([512]);
    gpu.launch(addOne, {}, { bindings: [gpu.zeros([64]), target], parameters: [64], workgroups: 1 });
    const read = (await target.read()) as Float32Array;
    expect(read.reduce((sum, value) => sum + value, 0)).toBe(64);
    gpu.dispose();
  });
});
