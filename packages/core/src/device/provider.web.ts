import { AdapterNotFoundError } from '../errors.ts';

/** The platform's WebGPU entry point in browsers and Deno: `navigator.gpu`. */
export async function platformGpu(): Promise<GPU> {
  const gpu = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (!gpu)
    throw new AdapterNotFoundError(
      'This browser or page has no WebGPU (it needs HTTPS or localhost, and a recent browser).',
    );
  return gpu;
}

/** What to do when no adapter answers, for the error message. */
export const adapterAdvice = 'WebGPU may be switched off, or the GPU is on the browser’s block list: see chrome://gpu.';

/** Waits for the GPU; browsers do so without polling. */
export function waitForGpu<T>(pending: Promise<T>, _software: boolean): Promise<T> {
  return pending;
}
