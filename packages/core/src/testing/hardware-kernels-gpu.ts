import type { Gpu } from '../device/gpu.ts';
import { gpuFromDevice } from '../device/open-gpu.ts';
import { rememberLaunches } from './launched-kernels.ts';
import { modestGpu } from './shared-gpu.ts';

const wrapped = new WeakMap<GPUDevice, Gpu>();

const unknownAdapter: GPUAdapterInfo = {
  __brand: 'GPUAdapterInfo',
  vendor: '',
  architecture: '',
  device: '',
  description: '',
  subgroupMinSize: 4,
  subgroupMaxSize: 128,
  isFallbackAdapter: false,
};

/**
 * The device of {@link modestGpu} under a name that no software adapter has: ops take the kernels that a GPU would get, so
 * that both kinds are tested whatever adapter there is. Must not be disposed: the device is shared.
 */
export async function hardwareKernelsGpu(): Promise<Gpu> {
  const { device } = await modestGpu();
  const gpu =
    wrapped.get(device) ?? rememberLaunches(gpuFromDevice(device, { adapterInfo: unknownAdapter, poison: true }));
  wrapped.set(device, gpu);
  return gpu;
}
