import { adapterAdvice, platformGpu } from '#provider';
import { AdapterNotFoundError } from '../errors.ts';
import { deviceDescriptor, readCapabilities } from './capabilities.ts';
import { Gpu } from './gpu.ts';
import type { GpuOptions } from './gpu-options.ts';

export interface OpenGpuOptions extends GpuOptions {
  /** Passed to `requestAdapter`. Default `high-performance`. */
  readonly powerPreference?: GPUPowerPreference;
  /**
   * Features to do without although the adapter has them (`shader-f16`, `subgroups`, `timestamp-query`), and `limits` for
   * WebGPU's default limits. For tests of the modest case.
   */
  readonly without?: readonly ('shader-f16' | 'subgroups' | 'timestamp-query' | 'limits')[];
}

/**
 * Opens the platform's best adapter: `navigator.gpu` in browsers and Deno, Dawn (`npm i webgpu`) in Node.
 *
 * @throws AdapterNotFoundError where WebGPU or an adapter is missing; the message says what to install.
 */
export async function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  const platform = await platformGpu();
  const adapter = await platform.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
  if (!adapter) throw new AdapterNotFoundError(`WebGPU found no adapter. ${adapterAdvice}`);
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice(deviceDescriptor(adapter, options.without ?? []));
  } catch (cause) {
    throw new AdapterNotFoundError(`The adapter ${adapter.info.description} gave no device. ${adapterAdvice}`, {
      cause,
    });
  }
  return gpuFromDevice(device, { ...options, adapterInfo: adapter.info });
}

/** Wraps a device that the caller opened, with whatever features and limits it was given. */
export function gpuFromDevice(
  device: GPUDevice,
  options: GpuOptions & { readonly adapterInfo?: GPUAdapterInfo } = {},
): Gpu {
  const info = options.adapterInfo ?? (device as GPUDevice & { adapterInfo?: GPUAdapterInfo }).adapterInfo;
  const facts = {
    vendor: info?.vendor ?? '',
    architecture: info?.architecture ?? '',
    device: info?.device ?? '',
    description: info?.description ?? '',
  };
  return new Gpu(device, readCapabilities(device, info), facts, options);
}
