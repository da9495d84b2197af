import { AdapterNotFoundError } from '../errors.ts';

let instance: GPU | undefined;

/**
 * The platform's WebGPU entry point in Node: a global `navigator.gpu` if there is one, else Dawn from the optional
 * peer dependency `webgpu`.
 */
export async function platformGpu(): Promise<GPU> {
  const existing = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (existing) return existing;
  if (instance) return instance;
  let dawn: typeof import('webgpu');
  try {
    dawn = await import('webgpu');
  } catch (cause) {
    throw new AdapterNotFoundError('Node has no WebGPU of its own: run `npm i webgpu` beside @saccade/core.', {
      cause,
    });
  }
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  // Timestamps are otherwise rounded to 65,536 ns, longer than most kernels here run.
  const flags = ['disable-dawn-features=timestamp_quantization'];
  // The exact name of the adapter that saccade-gpu chose, where Dawn would take another.
  const adapter = process.env.SACCADE_ADAPTER_NAME;
  if (adapter) flags.push(`adapter=${adapter}`);
  instance = dawn.create(flags) as GPU;
  return instance;
}

/** What to do when no adapter answers, for the error message. */
export const adapterAdvice =
  'Install a Vulkan, Metal or D3D12 driver; without a GPU run `npx saccade-gpu setup` (unpacks a software driver into ' +
  'your cache folder) and start the program with `npx saccade-gpu run`.';

/** Milliseconds of the shortest and the longest nap, and the share of the time waited so far that a nap takes. */
const shortestNap = 0.05;
const longestNap = 0.5;
const napShare = 1 / 8;
const never = new Int32Array(new SharedArrayBuffer(4));
let waiters = 0;
let napping = false;
let napsSince = 0;

/**
 * Waits for the GPU without taking its processor away. While something is pending, Dawn polls in every turn of the event
 * loop; where the GPU is the CPU (lavapipe, SwiftShader), that costs half of a two-core machine. So the loop naps between its
 * turns; timers and I/O are late by at most that nap. Naps start short, so that a wait of a millisecond is not rounded up by half.
 */
export async function waitForGpu<T>(pending: Promise<T>, software: boolean): Promise<T> {
  if (!software) return pending;
  waiters++;
  if (!napping) {
    napsSince = performance.now();
    setImmediate(napWhileWaiting);
  }
  napping = true;
  try {
    return await pending;
  } finally {
    waiters--;
  }
}

function napWhileWaiting(): void {
  napping = waiters > 0;
  if (!napping) return;
  const waited = performance.now() - napsSince;
  Atomics.wait(never, 0, 0, Math.min(longestNap, Math.max(shortestNap, napShare * waited)));
  setImmediate(napWhileWaiting);
}
