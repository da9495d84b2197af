import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  add,
  DeviceLostError,
  type Gpu,
  gather,
  linear,
  matmul,
  openGpu,
  type Profile,
  quantizedTensor,
  scale,
  softmax,
} from '../src/index.ts';
import { sharedGpu } from '../src/testing/index.ts';

/** Declared work of everything that ran, whatever kernels the adapter's class chose for it. */
function work(profile: Profile) {
  const kernels = profile.kernels();
  const sum = (field: 'flops' | 'bytes') => kernels.reduce((total, kernel) => total + kernel[field], 0);
  return { flops: sum('flops'), bytes: sum('bytes') };
}

describe('a profile from timestamps', () => {
  it('times every dispatch under its name', async () => {
    const gpu = await sharedGpu();
    if (!gpu.capabilities.timestamps) return;
    const x = gpu.zeros([100_000]);
    const profile = await gpu.profile(() => {
      for (let i = 0; i < 3; i++) scale(x, 2).dispose();
      softmax(x).dispose();
    });
    expect(profile.source).toBe('timestamps');
    expect(profile.entries.map((entry) => entry.name)).toEqual(['scale', 'scale', 'scale', 'softmax']);
    expect(profile.entries.every((entry) => entry.durationNs > 0)).toBe(true);
    const kernels = profile.kernels();
    expect(kernels.find((kernel) => kernel.name === 'scale')).toMatchObject({ count: 3, bytes: 2_400_000 });
    expect(kernels.reduce((total, kernel) => total + kernel.totalMs, 0)).toBeCloseTo(profile.totalMs, 9);
    x.dispose();
  });

  it('leaves the device usable when the work throws', async () => {
    const gpu = await sharedGpu();
    if (!gpu.capabilities.timestamps) return;
    const x = gpu.tensor([1, 2]);
    const failing = () => {
      scale(x, 2).dispose();
      throw new Error('on purpose');
    };
    await expect(gpu.profile(failing)).rejects.toThrow('on purpose');
    const y = scale(x, 3);
    expect([...(await y.read())]).toEqual([3, 6]);
    const next = await gpu.profile(() => scale(x, 2).dispose());
    expect(next.entries.length).toBe(1);
    x.dispose();
    y.dispose();
  });

  it('holds more dispatches than one submission', async () => {
    const gpu = await sharedGpu();
    if (!gpu.capabilities.timestamps) return;
    const x = gpu.zeros([3]);
    const profile = await gpu.profile(() => {
      for (let i = 0; i < 1500; i++) scale(x, 2).dispose();
    });
    expect(profile.entries.length).toBe(1500);
    x.dispose();
  });
});

describe('a profile without timestamps', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openGpu({ without: ['timestamp-query'] });
  });
  afterAll(() => gpu.dispose());

  it('has the wall time and the work of each submission', async () => {
    const x = gpu.zeros([100_000]);
    const before = performance.now();
    const profile = await gpu.profile(async () => {
      for (let i = 0; i < 3; i++) scale(x, 2).dispose();
      softmax(x).dispose();
      await gpu.synchronize();
      scale(x, 2).dispose();
    });
    const elapsed = performance.now() - before;
    expect(profile.source).toBe('wall');
    expect(profile.entries.map((entry) => entry.name)).toEqual([
      'submission of 4 dispatches: scale ×3, softmax',
      'scale',
    ]);
    expect(profile.entries[1]?.bytes).toBe(800_000);
    expect(profile.entries[0]?.bytes).toBe(4 * 800_000);
    expect(profile.entries.every((entry) => entry.durationNs > 0)).toBe(true);
    expect(profile.totalMs).toBeLessThanOrEqual(elapsed);
    x.dispose();
  });

  it('counts no moment twice when submissions queue up', async () => {
    const x = gpu.zeros([1000]);
    const before = performance.now();
    const profile = await gpu.profile(() => {
      for (let i = 0; i < 2500; i++) scale(x, 2).dispose();
    });
    const elapsed = performance.now() - before;
    expect(profile.entries.length).toBe(3);
    expect(profile.entries.reduce((sum, entry) => sum + entry.bytes, 0)).toBe(2500 * 8000);
    expect(profile.totalMs).toBeLessThanOrEqual(elapsed);
    profile.entries.slice(1).forEach((entry, index) => {
      const previous = profile.entries[index] as (typeof profile.entries)[number];
      expect(entry.startNs).toBeGreaterThanOrEqual(previous.startNs + previous.durationNs - 1);
    });
    x.dispose();
  });

  it('holds no entry for copies alone, nor for nothing', async () => {
    const profile = await gpu.profile(() => gpu.zeros([10]).dispose());
    expect(profile.entries).toEqual([]);
    expect(profile.totalMs).toBe(0);
    expect(profile.toChromeTrace()).toEqual({ traceEvents: [] });
  });

  it('rejects when the device goes away during the work', async () => {
    const own = await openGpu({ without: ['timestamp-query'] });
    const x = own.zeros([10]);
    const lost = own.profile(async () => {
      scale(x, 2).dispose();
      own.flush();
      own.dispose();
    });
    await expect(lost).rejects.toThrow(DeviceLostError);
  });
});

describe.each([
  ['timestamps', []],
  ['wall', ['timestamp-query'] as const],
] as const)('toChromeTrace of a profile from %s', (source, without) => {
  it('is a list of complete events in microseconds from the first start', async () => {
    const gpu = await openGpu({ without: [...without] });
    const x = gpu.zeros([50_000]);
    const profile = await gpu.profile(async () => {
      for (let i = 0; i < 3; i++) {
        scale(x, 2).dispose();
        await gpu.synchronize();
      }
    });
    // An adapter without timestamps has one kind of profile.
    if (gpu.capabilities.timestamps) expect(profile.source).toBe(source);
    const trace = JSON.parse(JSON.stringify(profile.toChromeTrace()));
    expect(trace.traceEvents.length).toBe(3);
    const first = profile.entries[0]?.startNs as number;
    trace.traceEvents.forEach((event: Record<string, unknown>, index: number) => {
      const entry = profile.entries[index] as (typeof profile.entries)[number];
      expect(event).toMatchObject({ name: 'scale', ph: 'X', pid: 1, tid: 1, args: { bytes: 400_000 } });
      expect(event.ts).toBeCloseTo((entry.startNs - first) / 1000, 6);
      expect(event.dur).toBeCloseTo(entry.durationNs / 1000, 6);
    });
    expect(trace.traceEvents[2].ts).toBeGreaterThan(trace.traceEvents[1].ts);
    gpu.dispose();
  });
});

describe('declared work', () => {
  it('of elementwise ops: every element once in, once out', async () => {
    const gpu = await sharedGpu();
    const [a, b] = [gpu.zeros([7, 11]), gpu.zeros([7, 11])];
    expect(work(await gpu.profile(() => add(a, b).dispose()))).toEqual({ flops: 77, bytes: 3 * 77 * 4 });
    a.dispose();
    b.dispose();
  });

  it('of a matrix product: a multiplication and an addition per term, each operand once', async () => {
    const gpu = await sharedGpu();
    const [m, k, n] = [5, 37, 19];
    const [a, b] = [gpu.zeros([m, k]), gpu.zeros([k, n])];
    expect(work(await gpu.profile(() => matmul(a, b).dispose()))).toEqual({
      flops: 2 * m * k * n,
      bytes: 4 * (m * k + k * n + m * n),
    });
    a.dispose();
    b.dispose();
  });

  it('of a quantized layer: the weights at the size they are stored in', async () => {
    const gpu = await sharedGpu();
    const [n, k] = [24, 64];
    const weight = quantizedTensor(gpu, 'q8_0', [n, k], new Uint8Array((n * k * 34) / 32));
    const x = gpu.zeros([1, k]);
    const { flops, bytes } = work(await gpu.profile(() => linear(x, weight).dispose()));
    expect(flops).toBe(2 * n * k);
    // One byte a weight and a scale per 32 of them; the scale is stored in two or four bytes.
    const others = 4 * (k + n);
    expect(bytes - others).toBeGreaterThanOrEqual((n * k * 34) / 32);
    expect(bytes - others).toBeLessThanOrEqual((n * k * 36) / 32);
    x.dispose();
    weight.dispose();
  });

  it('of a gather: the rows taken, not the table', async () => {
    const gpu = await sharedGpu();
    const table = gpu.zeros([1000, 8]);
    const rows = gpu.tensor([3, 999, 3], [3], 'u32');
    expect(work(await gpu.profile(() => gather(table, rows).dispose()))).toEqual({
      flops: 0,
      bytes: 2 * 3 * 8 * 4 + 3 * 4,
    });
    table.dispose();
    rows.dispose();
  });
});
