import type { Gpu } from '../device/gpu.ts';

/** What a steady loop leaves as it is. */
const counters = ['buffersCreated', 'bindGroupsCreated', 'pipelinesCreated', 'liveBytes', 'readbacks'] as const;

/**
 * Proves that a step that is repeated creates no buffer, bind group or pipeline, keeps no memory and reads nothing back.
 *
 * @param warmUp Steps before that, which may create. Default 4.
 * @returns dispatches of the steps that were looked at
 * @throws Error that names the counter that moved
 */
export async function proveSteady(
  gpu: Gpu,
  step: () => void,
  { warmUp = 4, steps }: { readonly warmUp?: number; readonly steps: number },
): Promise<number> {
  for (let count = 0; count < warmUp; count++) step();
  await gpu.synchronize();
  const before = gpu.stats();
  for (let count = 0; count < steps; count++) step();
  await gpu.synchronize();
  const after = gpu.stats();
  for (const counter of counters) {
    if (after[counter] === before[counter]) continue;
    throw new Error(`${steps} steps moved ${counter} from ${before[counter]} to ${after[counter]}.`);
  }
  return after.dispatches - before.dispatches;
}
