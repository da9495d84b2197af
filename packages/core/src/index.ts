export type { AdapterFacts, Capabilities } from './device/capabilities.ts';
export { type DebugLevel, Gpu, type GpuOptions, type GpuStats, type Launch } from './device/gpu.ts';
export { gpuFromDevice, type OpenGpuOptions, openGpu } from './device/open-gpu.ts';
export * from './errors.ts';
export { defineKernel, type KernelDefinition, type KernelSource, type Variant } from './kernels/kernel.ts';
export { Profile } from './profiling/profile.ts';
export type { Dtype, HostArray, PlainDtype, QuantizedDtype } from './tensor/dtype.ts';
export type { Shape } from './tensor/shape.ts';
export { Tensor } from './tensor/tensor.ts';
