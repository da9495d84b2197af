import type { Gpu } from '@saccade/core';
import type { Environment } from './types.ts';

/** What an open adapter says about itself. */
export function describeAdapter(gpu: Gpu): NonNullable<Environment['adapter']> {
  const { vendor, architecture, device, description } = gpu.adapter;
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype; spreading the object would give none.
  for (const name in gpu.device.limits) {
    const value = gpu.device.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  return {
    vendor,
    architecture,
    device,
    description,
    software: gpu.capabilities.software,
    // Dawn's Vulkan backend puts driver name and version into the description, as "llvmpipe: Mesa 25.0 ...".
    driver: /:\s*(.+)$/.exec(description)?.[1] ?? (description === '' ? null : description),
    features: [...gpu.device.features].sort(),
    limits,
  };
}
