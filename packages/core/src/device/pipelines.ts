import { GpuValidationError } from '../errors.ts';
import {
  assembleWgsl,
  type KernelDefinition,
  type ParameterList,
  parametersOf,
  type Variant,
  variantKey,
} from '../kernels/kernel.ts';
import type { Capabilities } from './capabilities.ts';

/** A compiled specialisation with its bind-group layout. */
export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Scalars of its dispatches. */
  readonly parameters: ParameterList;
}

/** Compiled kernels by specialisation. */
export class PipelineCache {
  created = 0;
  readonly #device: GPUDevice;
  readonly #capabilities: Capabilities;
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #onWgsl: ((key: string, wgsl: string) => void) | undefined;

  constructor(device: GPUDevice, capabilities: Capabilities, onWgsl?: (key: string, wgsl: string) => void) {
    this.#device = device;
    this.#capabilities = capabilities;
    this.#onWgsl = onWgsl;
  }

  get<V extends Variant>(kernel: KernelDefinition<V>, variant: V): Pipeline {
    const key = variantKey(kernel.name, variant);
    const cached = this.#pipelines.get(key);
    if (cached) return cached;
    const { descriptor, ...facts } = this.#describe(kernel, variant, key);
    return this.#store(key, { pipeline: this.#device.createComputePipeline(descriptor), ...facts });
  }

  /**
   * Compiles in the background, so that the first launch does not wait.
   * @returns whether it had to
   */
  async prepare<V extends Variant>(kernel: KernelDefinition<V>, variant: V): Promise<boolean> {
    const key = variantKey(kernel.name, variant);
    if (this.#pipelines.has(key)) return false;
    const { descriptor, ...facts } = this.#describe(kernel, variant, key);
    try {
      const pipeline = await this.#device.createComputePipelineAsync(descriptor);
      if (this.#pipelines.has(key)) return false;
      this.#store(key, { pipeline, ...facts });
      return true;
    } catch (cause) {
      throw new GpuValidationError(`Kernel ${key} does not compile: ${(cause as Error).message}`, { cause });
    }
  }

  #store(key: string, compiled: Omit<Pipeline, 'id'>): Pipeline {
    const entry: Pipeline = { id: ++this.created, ...compiled };
    this.#pipelines.set(key, entry);
    return entry;
  }

  #describe<V extends Variant>(kernel: KernelDefinition<V>, variant: V, key: string) {
    const code = assembleWgsl(kernel, variant, this.#capabilities);
    this.#onWgsl?.(key, code);
    const layout = this.#layout(kernel.bindings(variant, this.#capabilities).map((binding) => binding.access));
    const descriptor: GPUComputePipelineDescriptor = {
      label: key,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: this.#device.createShaderModule({ label: key, code }), entryPoint: 'main' },
    };
    return { descriptor, layout, parameters: parametersOf(kernel, variant) };
  }

  #layout(accesses: readonly ('read' | 'read_write')[]): GPUBindGroupLayout {
    const key = accesses.join();
    const cached = this.#layouts.get(key);
    if (cached) return cached;
    const layout = this.#device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform', hasDynamicOffset: true } },
        ...accesses.map((access, index) => ({
          binding: index + 1,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: access === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
        })),
      ],
    });
    this.#layouts.set(key, layout);
    return layout;
  }
}
