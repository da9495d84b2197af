import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, type Gpu, matmul, openGpu, RefusedError, scale, type Tensor } from '../src/index.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu({ poison: true });
});
afterAll(() => gpu.dispose());

const numbers = async (tensor: Tensor) => [...(await tensor.read())];

/** Writes numbers into a tensor that stays where it is. */
function overwrite(tensor: Tensor, values: readonly number[]): void {
  gpu.tidy(() => {
    const bytes = 4 * values.length;
    gpu.copyBytes(gpu.range(gpu.tensor(values), 'test'), gpu.range(tensor, 'test'), bytes);
  });
}

describe('a plan', () => {
  it('runs what was captured on what its inputs hold then, and creates nothing', async () => {
    const x = gpu.tensor([1, 2, 3, 4]);
    const plan = gpu.plan();
    const dispatches = gpu.stats().dispatches;
    const y = plan.capture(() => {
      const doubled = add(x, x);
      return add(
        gpu.tidy(() => scale(doubled, 10)),
        x,
      );
    });
    expect(gpu.stats().dispatches).toBe(dispatches);
    plan.run();
    expect(await numbers(y)).toEqual([21, 42, 63, 84]);
    overwrite(x, [5, 6, 7, 8]);
    const before = gpu.stats();
    plan.run();
    const after = gpu.stats();
    expect(after.dispatches - before.dispatches).toBe(3);
    expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
    expect(after.buffersCreated).toBe(before.buffersCreated);
    expect(await numbers(y)).toEqual([105, 126, 147, 168]);
    plan.dispose();
    x.dispose();
  });

  it('keeps its memory from others, and gives it back', async () => {
    const live = gpu.stats().liveBytes;
    const x = gpu.tensor(new Float32Array(1024).fill(2), [32, 32]);
    const plan = gpu.plan();
    const product = plan.capture(() => matmul(matmul(x, x), x));
    plan.run();
    // What is freed inside a plan would be the first that these get.
    const others = Array.from({ length: 4 }, () => gpu.zeros([32, 32]));
    plan.run();
    expect((await numbers(product)).every((value) => value === 8 * 32 * 32)).toBe(true);
    for (const other of others) expect((await numbers(other)).every((value) => value === 0)).toBe(true);
    for (const tensor of [...others, x]) tensor.dispose();
    plan.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });

  it('takes the same buffers and bind groups when the same work is captured again', () => {
    const x = gpu.zeros([256]);
    const plan = gpu.plan();
    const work = () =>
      gpu.tidy(() =>
        add(
          scale(add(x, x), 2),
          gpu.tidy(() => scale(x, 3)),
        ),
      );
    plan.capture(work);
    plan.run();
    const before = gpu.stats();
    plan.capture(work);
    plan.run();
    expect(gpu.stats().bindGroupsCreated).toBe(before.bindGroupsCreated);
    expect(gpu.stats().buffersCreated).toBe(before.buffersCreated);
    plan.dispose();
    x.dispose();
  });

  it('is not ready once a tensor that it reads was freed', () => {
    const x = gpu.zeros([4]);
    const plan = gpu.plan();
    expect(plan.ready).toBe(false);
    plan.capture(() => scale(x, 2));
    expect(plan.ready).toBe(true);
    x.dispose();
    expect(plan.ready).toBe(false);
    expect(() => plan.run()).toThrow(RefusedError);
    plan.dispose();
  });

  it('splits over submissions where its dispatches do not fit into one', async () => {
    const x = gpu.tensor([1]);
    const plan = gpu.plan();
    const sum = plan.capture(() => {
      let total: Tensor = x.alias();
      for (let count = 0; count < 1100; count++) total = gpu.tidy(() => add(total, x));
      return total;
    });
    plan.run();
    expect(await numbers(sum)).toEqual([1101]);
    plan.dispose();
    x.dispose();
  });

  it('refuses uploads, reads and captures inside a capture, and tensors that stay behind', async () => {
    const live = gpu.stats().liveBytes;
    const plan = gpu.plan();
    const x = gpu.zeros([4]);
    expect(() => plan.capture(() => gpu.tensor([1]))).toThrow(/uploaded/);
    expect(() => plan.capture(() => gpu.plan().capture(() => undefined))).toThrow(/under way/);
    expect(() => plan.capture(() => void gpu.dryRun(() => undefined))).toThrow(/under way/);
    let reading: Promise<unknown> | undefined;
    plan.capture(() => {
      reading = x.read();
    });
    await expect(reading).rejects.toThrow(/captured/);
    let left: Tensor | undefined;
    expect(() =>
      plan.capture(() => {
        left = gpu.keep(scale(x, 2));
      }),
    ).toThrow(/left 1 tensors/);
    left?.dispose();
    x.dispose();
    plan.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });
});
