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
