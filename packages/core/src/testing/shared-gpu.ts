import type { Gpu } from '../device/gpu.ts';
import type { GpuOptions } from '../device/gpu-options.ts';
import { openGpu } from '../device/open-gpu.ts';
import { rememberLaunches } from './launched-kernels.ts';

// On the global object, so that test files that load this module twice in one worker still share one device.
const registry = Symbol.for('saccade.testing.gpus');
type Registry = Map<string, Promise<Gpu>>;

function shared(key: string, open: () => Promise<Gpu>): Promise<Gpu> {
  const holder = globalThis as { [registry]?: Registry };
  holder[registry] ??= new Map();
  const gpus = holder[registry];
  const opened = gpus.get(key) ?? open();
  // A device that some test lost is replaced rather than handed out again.
  const usable = opened.then((gpu) => (gpu.alive ? gpu : open()));
  gpus.set(key, usable);
  return usable;
}

/**
 * The device that all tests of a worker share, with everything the adapter has. Fresh memory is filled with NaN, so that
 * reading what nobody wrote shows.
 *
 * @throws AdapterNotFoundError where there is no WebGPU adapter.
 */
export function sharedGpu(): Promise<Gpu> {
  return shared('full', () => openGpu({ poison: true }));
}

/** As {@link sharedGpu}, with WebGPU's default limits and without f16 and subgroups: the least that every kernel must run on. */
export function modestGpu(): Promise<Gpu> {
  return shared('modest', () => openModestGpu({ poison: true }));
}

/** A device of its own like {@link modestGpu}'s, for tests that need further options or lose it. The caller disposes it. */
export async function openModestGpu(options: GpuOptions = {}): Promise<Gpu> {
  return rememberLaunches(await openGpu({ ...options, without: ['shader-f16', 'subgroups', 'limits'] }));
}
