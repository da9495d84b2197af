import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { type TrainingShape, trainingFlops } from '../src/measure/training-shape.ts';
import { StepWorkload } from '../src/scenarios/training/step-workload.ts';

const shape: TrainingShape = { layers: 4, hiddenSize: 32, heads: 2, intermediateSize: 64, batch: 2, length: 64 };

it('steps of all variants learn, and computing layers again saves memory', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const peaks: Record<string, number> = {};
  for (const method of ['dense', 'recompute', 'half-precision']) {
    const start = gpu.stats().liveBytes;
    const workload = new StepWorkload(gpu, shape, method, 0);
    const losses: number[] = [];
    for (let step = 0; step < 4; step++) losses.push(await workload.run());
    expect(losses[3]).toBeLessThan(losses[0] as number);
    peaks[method] = await workload.peakBytes(start);
    workload.dispose();
  }
  expect(peaks.recompute).toBeLessThan(0.7 * (peaks.dense as number));
  expect(gpu.stats().liveBytes).toBe(before);
});

it('counts the operations of a step', () => {
  // One token, no layer: the embedding as output matrix, forward and both gradients.
  expect(trainingFlops({ ...shape, layers: 0, batch: 1, length: 1 })).toBe(6 * 256 * 32);
  const one = { ...shape, layers: 1, batch: 1, length: 1 };
  expect(trainingFlops(one)).toBe(6 * (4 * 32 ** 2 + 3 * 32 * 64 + 256 * 32) + 14 * 32);
  expect(trainingFlops({ ...one, batch: 3 })).toBe(3 * trainingFlops(one));
});
