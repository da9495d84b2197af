import { DeviceLostError, type Gpu, OutOfMemoryError, openGpu } from '@saccade/core';
import { type InterruptionCount, seededRandom, withInterruption } from '@saccade/core/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadLanguageModel } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';
import { handingOn } from './handing-on.ts';

const tokens = 8;
/** Two chunks of prefill; decoding grows the cache and the table of rotary positions. */
const longPrompt = Array.from({ length: 1020 }, (_, index) => (index * 37) % 700);
/** Two chunks, for runs that compile everything anew. */
const prompt = longPrompt.slice(0, 520);
/** Decoding takes more memory than prefill: the cache grows. */
const shortPrompt = longPrompt.slice(0, 4);

/** Loads a model from its file, runs a prompt and decodes twice from it; returns all ids. */
async function work(gpu: Gpu, ids: readonly number[] = prompt, signal?: AbortSignal): Promise<number[]> {
  const model = await loadLanguageModel(gpu, goldenPath('llama-gguf/model.gguf'), { signal });
  try {
    const prefilled = await model.prefill(ids, { reserve: 2, signal });
    try {
      const decoded: number[] = [];
      const options = { signal, maxTokens: tokens, ignoreEndOfText: true };
      for await (const piece of model.generate(prefilled, { ...options, method: handingOn }))
        decoded.push(...piece.ids);
      const sampled = { temperature: 0.8, topK: 20, repetitionPenalty: 1.3, seed: 7 };
      for await (const piece of model.generate(prefilled, { ...options, ...sampled })) decoded.push(...piece.ids);
      return decoded;
    } finally {
      prefilled.dispose();
    }
  } finally {
    model.dispose();
  }
}

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

const seed = 20;
let expected: number[];
let points: number;

beforeAll(async () => {
  const gpu = await openGpu();
  const count: InterruptionCount = { points: 0 };
  expected = await withInterruption(
    gpu,
    0,
    () => undefined,
    () => work(gpu),
    count,
  );
  points = count.points;
  expect(gpu.stats().liveBytes).toBe(0);
  gpu.dispose();
});

function randomIntegersUpTo(most: number): number[] {
  const next = seededRandom(seed);
  return Array.from({ length: 50 }, () => 1 + Math.floor(next() * most));
}

describe('load, prefill and decode, interrupted', () => {
  it('at 50 points by the loss of the device: a typed error, and the next device works', async () => {
    let losses = 0;
    for (const [index, point] of randomIntegersUpTo(points).entries()) {
      const gpu = await openGpu();
      const lose = () => (index % 2 === 0 ? gpu.device.destroy() : gpu.dispose());
      const result = await outcome(withInterruption(gpu, point, lose, () => work(gpu)));
      // Behind the last read there is nothing that could fail.
      if ('ids' in result) expect([point, result.ids]).toEqual([points, expected]);
      else {
        losses++;
        expect([point, result.error]).toEqual([point, expect.any(DeviceLostError)]);
      }
      expect([point, gpu.stats().liveBytes]).toEqual([point, 0]);
    }
    expect(losses).toBeGreaterThan(45);
    const next = await openGpu();
    expect(await work(next)).toEqual(expected);
    next.dispose();
  }, 120_000);

  it('at 50 budgets of bytes that do not suffice: a typed error, and nothing leaks', async () => {
    for (const ids of [longPrompt, shortPrompt]) {
      const free = await openGpu();
      const decoded = await work(free, ids);
      const { peakBytes } = free.stats();
      free.dispose();
      for (const missing of randomIntegersUpTo(peakBytes).slice(0, 25)) {
        const gpu = await openGpu({ maxBytes: peakBytes - missing });
        const result = await outcome(work(gpu, ids));
        expect([missing, result]).toEqual([missing, { error: expect.any(OutOfMemoryError) }]);
        expect([missing, gpu.stats().liveBytes]).toEqual([missing, 0]);
        gpu.dispose();
      }
      const enough = await openGpu({ maxBytes: peakBytes });
      expect(await work(enough, ids)).toEqual(decoded);
      enough.dispose();
    }
  }, 120_000);

  it('at 50 points by an abort: its reason, nothing leaks, and the same device goes on', async () => {
    const gpu = await openGpu();
    let aborts = 0;
    for (const point of randomIntegersUpTo(points)) {
      const controller = new AbortController();
      const reason = new Error(`aborted at point ${point}`);
      const abort = () => controller.abort(reason);
      const result = await outcome(withInterruption(gpu, point, abort, () => work(gpu, prompt, controller.signal)));
      // An abort during the last token comes too late.
      if ('ids' in result) expect([point, result.ids]).toEqual([point, expected]);
      else {
        aborts++;
        expect([point, result.error]).toEqual([point, reason]);
      }
      expect([point, gpu.stats().liveBytes]).toEqual([point, 0]);
    }
    expect(aborts).toBeGreaterThan(40);
    expect(await work(gpu)).toEqual(expected);
    gpu.dispose();
  }, 120_000);
});
