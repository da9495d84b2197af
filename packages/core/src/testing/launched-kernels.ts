import type { Gpu } from '../device/gpu.ts';

// On the global object, so that test files that load this module twice in one worker still share one set.
const registry = Symbol.for('saccade.testing.launchedOnDefaults');

function names(): Set<string> {
  const holder = globalThis as { [registry]?: Set<string> };
  holder[registry] ??= new Set();
  return holder[registry];
}

/** Remembers the names of the kernels that a Gpu launches from now on. For devices with WebGPU's defaults. */
export function rememberLaunches(gpu: Gpu): Gpu {
  const launched = names();
  const launch = gpu.launch.bind(gpu);
  const remembering: Gpu['launch'] = (kernel, variant, call) => {
    launched.add(kernel.name);
    launch(kernel, variant, call);
  };
  return Object.defineProperty(gpu, 'launch', { value: remembering, configurable: true });
}

/** Kernels that this worker has launched on {@link modestGpu} or {@link hardwareKernelsGpu}. */
export function launchedOnDefaults(): ReadonlySet<string> {
  return names();
}
