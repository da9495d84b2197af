import type { PoolOptions, PoolRunnerInitializer } from 'vitest/node';
import { siblingModule } from '../sibling.ts';
import { GpuPoolWorker } from './gpu-pool-worker.ts';

/** Options of a Vitest project for tests on the GPU. */
export interface GpuTestOptions {
  readonly pool: PoolRunnerInitializer;
  readonly isolate: false;
  readonly maxWorkers: 1;
  readonly testTimeout: number;
  readonly hookTimeout: number;
  readonly sequence: { readonly groupOrder: number };
  readonly globalSetup: string[];
}

/**
 * What a Vitest project needs so that its tests open a GPU: one worker process, in which Dawn finds the adapter, runs the
 * files one after another and keeps modules loaded, so that a device opened by a module is shared. A missing software
 * driver is unpacked before the first test.
 *
 * @param groupOrder projects run in ascending order; give each GPU project one of its own, so that only one runs at a time
 */
export function gpuTestOptions(groupOrder: number): GpuTestOptions {
  return {
    pool: { name: 'saccade-gpu', createPoolWorker: (options: PoolOptions) => new GpuPoolWorker(options) },
    isolate: false,
    maxWorkers: 1,
    testTimeout: 180_000,
    hookTimeout: 120_000,
    sequence: { groupOrder },
    globalSetup: [siblingModule('vitest/global-setup')],
  };
}
