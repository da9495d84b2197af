import type { Load } from './main.ts';

interface Dawn {
  readonly create: (flags: readonly string[]) => unknown;
  readonly globals: object;
}

/** Makes Dawn look like a browser's WebGPU to engines that look for one. */
export async function provideNavigatorGpu(load: Load): Promise<void> {
  const { create, globals } = (await load('webgpu')) as Dawn;
  Object.assign(globalThis, globals);
  // Node 20 has no navigator, and some engines read the user agent. The instance must stay reachable.
  const holder = globalThis as { navigator?: object };
  holder.navigator ??= { userAgent: 'node' };
  Object.defineProperty(holder.navigator, 'gpu', { value: create([]), configurable: true });
}
