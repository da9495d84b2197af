/** What a device gave: the facts that kernels specialise on. */
export interface Capabilities {
  /** `shader-f16`: f16 arithmetic and storage in WGSL. */
  readonly f16: boolean;
  /** `subgroups`: subgroup operations in WGSL. */
  readonly subgroups: boolean;
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  readonly timestamps: boolean;
  /** A CPU pretending to be a GPU (lavapipe, SwiftShader, WARP): other tiles are fast there. */
  readonly software: boolean;
  readonly maxStorageBinding: number;
  readonly maxBufferSize: number;
  readonly maxStorageBuffers: number;
  readonly maxWorkgroupStorage: number;
  readonly maxInvocations: number;
  readonly maxWorkgroupsPerDimension: number;
  readonly storageAlignment: number;
  readonly uniformAlignment: number;
}

/** Names an adapter: enough to fingerprint measurements. */
export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

const wantedFeatures = ['shader-f16', 'subgroups', 'timestamp-query'] as const;

const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
] as const;

/** The device descriptor that asks for everything useful that this adapter has. */
export function deviceDescriptor(adapter: GPUAdapter, without: readonly string[]): GPUDeviceDescriptor {
  const requiredFeatures = wantedFeatures.filter((name) => adapter.features.has(name) && !without.includes(name));
  const requiredLimits: Record<string, number> = {};
  if (!without.includes('limits')) {
    for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
  }
  return { label: 'saccade', requiredFeatures: requiredFeatures as GPUFeatureName[], requiredLimits };
}

/** Reads the capabilities of an open device. */
export function readCapabilities(device: GPUDevice, info: GPUAdapterInfo | undefined): Capabilities {
  const { limits, features } = device;
  const text = `${info?.vendor ?? ''} ${info?.architecture ?? ''} ${info?.description ?? ''} ${info?.device ?? ''}`;
  const subgroups = features.has('subgroups' as GPUFeatureName);
  return {
    f16: features.has('shader-f16'),
    subgroups,
    subgroupMinSize: subgroups ? (info?.subgroupMinSize ?? 4) : 1,
    subgroupMaxSize: subgroups ? (info?.subgroupMaxSize ?? 128) : 1,
    timestamps: features.has('timestamp-query'),
    software: /llvmpipe|lavapipe|swiftshader|softpipe|warp|basic render/i.test(text),
    maxStorageBinding: limits.maxStorageBufferBindingSize,
    maxBufferSize: limits.maxBufferSize,
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    maxWorkgroupStorage: limits.maxComputeWorkgroupStorageSize,
    maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    storageAlignment: limits.minStorageBufferOffsetAlignment,
    uniformAlignment: limits.minUniformBufferOffsetAlignment,
  };
}
