import { DeviceLostError, OutOfMemoryError, openGpu } from '@saccade/core';
import { type InterruptionCount, seededRandom, withInterruption } from '@saccade/core/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { batchChatEviction, denoisedImage, type Program, promptAndTokens } from './interrupted-programs.ts';

/** What became of a run: its ids or its error; 20 seconds without either count as a hang. */
async function outcome(run: Promise<number[]>): Promise<{ ids: number[] } | { error: unknown }> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the run hangs')), 20_000);
  });
  try {
    return { ids: await Promise.race([run, hang]) };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

/** Seeded integers from 1 to `most`. */
function randomIntegers(count: number, most: number): number[] {
  const next = seededRandom(20);
  return Array.from({ length: count }, () => 1 + Math.floor(next() * most));
}

const cases: readonly {
  readonly name: string;
  readonly program: Program;
  /** What memory runs out in. */
  readonly limited: readonly Program[];
  readonly losses: number;
  readonly budgets: number;
  readonly aborts: number;
}[] = [
  {
    name: 'load, prefill and decode',
    program: promptAndTokens(520),
    limited: [promptAndTokens(1020), promptAndTokens(4)],
    losses: 50,
    budgets: 25,
    aborts: 50,
  },
  {
    name: 'batch, chat and eviction',
    program: batchChatEviction,
    limited: [batchChatEviction],
    losses: 10,
    budgets: 16,
    aborts: 20,
  },
  {
    name: 'a denoised image',
    program: denoisedImage,
    limited: [denoisedImage],
    losses: 10,
    budgets: 12,
    aborts: 16,
  },
];

describe.each(cases)('$name, interrupted', ({ program, limited, losses, budgets, aborts }) => {
  let expected: number[];
  let points: number;

  beforeAll(async () => {
    const gpu = await openGpu();
    const count: InterruptionCount = { points: 0 };
    expected = await withInterruption(
      gpu,
      0,
      () => undefined,
      () => program(gpu),
      count,
    );
    points = count.points;
    expect(gpu.stats().liveBytes).toBe(0);
    gpu.dispose();
  });

  it(`at ${losses} points by the loss of the device: a typed error, and the next device works`, async () => {
    let lost = 0;
    for (const [index, point] of randomIntegers(losses, points).entries()) {
      const gpu = await openGpu();
      const lose = () => (index % 2 === 0 ? gpu.device.destroy() : gpu.dispose());
      const result = await outcome(withInterruption(gpu, point, lose, () => program(gpu)));
      // Behind the last read there is nothing that could fail.
      if ('ids' in result) expect([point, result.ids]).toEqual([points, expected]);
      else {
        lost++;
        expect([point, result.error]).toEqual([point, expect.any(DeviceLostError)]);
      }
      expect([point, gpu.stats().liveBytes]).toEqual([point, 0]);
    }
    expect(lost).toBeGreaterThan(0.9 * losses);
    const next = await openGpu();
    expect(await program(next)).toEqual(expected);
    next.dispose();
  }, 120_000);

  it(`at ${budgets * limited.length} budgets of bytes that do not suffice: a typed error, and nothing leaks`, async () => {
    for (const hungry of limited) {
      const free = await openGpu();
      const ids = await hungry(free);
      const { peakBytes } = free.stats();
      free.dispose();
      for (const [index, some] of randomIntegers(budgets, peakBytes).entries()) {
        // Every other budget is nearly enough, so that memory runs out late.
        const missing = index % 2 === 0 ? some : Math.ceil(some / 16);
        const gpu = await openGpu({ maxBytes: peakBytes - missing });
        const result = await outcome(hungry(gpu));
        expect([missing, result]).toEqual([missing, { error: expect.any(OutOfMemoryError) }]);
        expect([missing, gpu.stats().liveBytes]).toEqual([missing, 0]);
        gpu.dispose();
      }
      const enough = await openGpu({ maxBytes: peakBytes });
      expect(await hungry(enough)).toEqual(ids);
      enough.dispose();
    }
  }, 120_000);

  it(`at ${aborts} points by an abort: its reason, nothing leaks, and the same device goes on`, async () => {
    const gpu = await openGpu();
    let aborted = 0;
    for (const point of randomIntegers(aborts, points)) {
      const controller = new AbortController();
      const reason = new Error(`aborted at point ${point}`);
      const abort = () => controller.abort(reason);
      const result = await outcome(withInterruption(gpu, point, abort, () => program(gpu, controller.signal)));
      // An abort during the last token comes too late.
      if ('ids' in result) expect([point, result.ids]).toEqual([point, expected]);
      else {
        aborted++;
        expect([point, result.error]).toEqual([point, reason]);
      }
      expect([point, gpu.stats().liveBytes]).toEqual([point, 0]);
    }
    expect(aborted).toBeGreaterThan(0.8 * aborts);
    expect(await program(gpu)).toEqual(expected);
    gpu.dispose();
  }, 120_000);
});
