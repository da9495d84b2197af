import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, contiguous, type Gpu, openGpu, RefusedError, scale, type Tensor } from '../src/index.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.dispose());

describe('a dry run', () => {
  it('tells the peak of the work, which takes no memory and runs no kernel', () => {
    const x = gpu.tensor(new Float32Array(4096).fill(1));
    const work = () => {
      const doubled = gpu.tidy(() => {
        const sum = add(x, x);
        return scale(sum, 0.5);
      });
      const kept = gpu.keep(contiguous(doubled.reshape([64, 64]).transpose()));
      kept.dispose();
    };
    const before = gpu.stats();
    const estimate = gpu.dryRun(work);
    expect(gpu.stats()).toEqual(before);

    gpu.resetPeak();
    gpu.tidy(() => {
      work();
    });
    expect(estimate).toBe(gpu.stats().peakBytes - before.liveBytes);
    expect(estimate).toBeGreaterThanOrEqual(2 * 4 * 4096);
    x.dispose();
  });

  it('leaves results of before untouched, and what comes after works', async () => {
    const x = gpu.tensor([1, 2, 3]);
    gpu.dryRun(() => {
      scale(x, 5);
      gpu.tensor([7, 7, 7]);
      gpu.zeros([1000]);
    });
    expect([...(await gpu.tidy(() => scale(x, 2)).read())]).toEqual([2, 4, 6]);
    x.dispose();
  });

  it('refuses reads, another dry run inside, and memory that stays', async () => {
    let reading: Promise<unknown> | undefined;
    gpu.dryRun(() => {
      reading = gpu.zeros([4]).read();
    });
    await expect(reading).rejects.toThrow(RefusedError);
    expect(() => gpu.dryRun(() => void gpu.dryRun(() => undefined))).toThrow(/under way/);
    let left: Tensor | undefined;
    expect(() =>
      gpu.dryRun(() => {
        left = gpu.keep(gpu.zeros([64]));
      }),
    ).toThrow(/left 256 bytes/);
    left?.dispose();
  });

  it('compiles in the background what the work needs, once', async () => {
    const fresh = await openGpu();
    try {
      const x = fresh.tensor([1, 2, 3]);
      const work = () => {
        fresh.tidy(() => scale(add(x, x), 2));
      };
      const { liveBytes } = fresh.stats();
      expect(await fresh.warmUp(work)).toBe(2);
      expect(fresh.stats()).toMatchObject({ pipelinesCreated: 2, liveBytes });
      expect(await fresh.warmUp(work)).toBe(0);
      work();
      expect(fresh.stats().pipelinesCreated).toBe(2);
      expect(await x.read()).toEqual(Float32Array.of(1, 2, 3));
      await expect(fresh.warmUp(() => void fresh.dryRun(work))).rejects.toThrow(RefusedError);
    } finally {
      fresh.dispose();
    }
  });
});
