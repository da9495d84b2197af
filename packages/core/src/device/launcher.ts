import { LimitError, ShapeError } from '../errors.ts';
import {
  type KernelDefinition,
  type ParameterList,
  parametersOf,
  rangeParameters,
  type Variant,
} from '../kernels/kernel.ts';
import type { KernelTiming } from '../profiling/profiler.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { BindGroupCache, type BufferRange } from './bind-groups.ts';
import type { PooledBuffer } from './buffer-pool.ts';
import type { Capabilities } from './capabilities.ts';
import type { CommandSink } from './command-sink.ts';
import { PipelineCache } from './pipelines.ts';
import { workgroupsPerDispatch } from './work-bound.ts';

/** A binding of a launch: a whole tensor, or a byte range of one of its pieces. */
export type LaunchBinding = Tensor | BufferRange;

export interface Launch {
  /** In the order of the kernel's bindings. Tensors must be contiguous. */
  readonly bindings: readonly LaunchBinding[];
  /** In the order of the kernel's parameters. */
  readonly parameters?: readonly number[];
  /** Number of workgroups; folded into two dimensions where a device limit asks for it. 0 launches nothing. */
  readonly workgroups: number;
  /** Declared work, for the profiler and for the bound on a dispatch. Assumed to be spread evenly over the workgroups. */
  readonly cost?: KernelTiming;
}

/** Turns launches into dispatches: finds the pipeline and the bind group, writes parameters, folds and divides grids. */
export class Launcher {
  readonly #capabilities: Capabilities;
  readonly #maxFlops: number;
  readonly #pipelines: PipelineCache;
  readonly #groups: BindGroupCache;

  /** `uniforms` holds the parameters of dispatches. `maxFlops`: of one dispatch. `onWgsl`: told of the module of each kernel that is compiled. */
  constructor(
    device: GPUDevice,
    capabilities: Capabilities,
    uniforms: GPUBuffer,
    maxFlops: number,
    onWgsl: ((key: string, wgsl: string) => void) | undefined,
  ) {
    this.#capabilities = capabilities;
    this.#maxFlops = maxFlops;
    this.#pipelines = new PipelineCache(device, capabilities, onWgsl);
    this.#groups = new BindGroupCache(device, uniforms);
  }

  get pipelinesCreated(): number {
    return this.#pipelines.created;
  }

  get bindGroupsCreated(): number {
    return this.#groups.created;
  }

  /** Records one dispatch, or several where the launch declares more work than one may hold. `ranges`: its bindings. */
  launch<V extends Variant>(
    sink: CommandSink,
    kernel: KernelDefinition<V>,
    variant: V,
    { workgroups, cost, parameters = [] }: Launch,
    ranges: readonly BufferRange[],
  ): void {
    const pipeline = this.#pipelines.get(kernel, variant);
    const declared = pipeline.parameters;
    checkParameters(kernel.name, parameters, declared);
    const group = this.#groups.get(pipeline, ranges);
    const perDispatch = workgroupsPerDispatch(workgroups, cost?.flops ?? 0, this.#maxFlops);
    for (let first = 0; first < workgroups; first += perDispatch) {
      const end = Math.min(first + perDispatch, workgroups);
      const share = (end - first) / workgroups;
      const work = cost && { flops: cost.flops * share, bytes: cost.bytes * share };
      const slot = sink.parameters(work?.flops);
      const [x, y] = this.#grid(end - first);
      slot.setWorkgroups(first, end);
      for (let index = 0; index < declared.length; index++) {
        const value = parameters[index] as number;
        if (declared[index]?.[1] === 'f32') slot.setFloat(index + rangeParameters, value);
        else slot.setUnsigned(index + rangeParameters, value);
      }
      // In each turn: reserving the slot may have begun another submission.
      for (const { buffer } of ranges) sink.use(buffer);
      sink.dispatch({ name: kernel.name, pipeline: pipeline.pipeline, group, offset: slot.offset, x, y, work });
    }
  }

  /** What {@link launch} checks, of one that is not recorded. */
  check<V extends Variant>(kernel: KernelDefinition<V>, variant: V, { parameters = [] }: Launch): void {
    checkParameters(kernel.name, parameters, parametersOf(kernel, variant));
  }

  /**
   * Compiles in the background.
   * @returns whether it had to
   */
  prepare<V extends Variant>(kernel: KernelDefinition<V>, variant: V): Promise<boolean> {
    return this.#pipelines.prepare(kernel, variant);
  }

  /**
   * Runs a kernel on no workgroup: some drivers generate code only when a pipeline is dispatched. The surplus workgroup
   * that is dispatched returns at once.
   * @param scratch A range for each binding of the kernel.
   */
  touch<V extends Variant>(
    sink: CommandSink,
    kernel: KernelDefinition<V>,
    variant: V,
    scratch: readonly BufferRange[],
  ): void {
    const slot = sink.parameters();
    slot.setWorkgroups(0, 0);
    const pipeline = this.#pipelines.get(kernel, variant);
    const group = this.#groups.get(pipeline, scratch);
    for (const { buffer } of scratch) sink.use(buffer);
    const { offset } = slot;
    sink.dispatch({ name: kernel.name, pipeline: pipeline.pipeline, group, offset, x: 1, y: 1, work: undefined });
  }

  /** Drops what holds a buffer that is being destroyed. */
  forget(buffer: PooledBuffer): void {
    this.#groups.forget(buffer);
  }

  #grid(workgroups: number): [number, number] {
    const limit = this.#capabilities.maxWorkgroupsPerDimension;
    if (workgroups <= limit) return [workgroups, 1];
    const y = Math.ceil(workgroups / limit);
    if (y > limit) {
      throw new LimitError('A dispatch', workgroups, 'maxComputeWorkgroupsPerDimension squared', limit * limit);
    }
    return [Math.ceil(workgroups / y), y];
  }
}

/** @throws ShapeError unless there is a number for each parameter */
function checkParameters(kernel: string, given: readonly number[], declared: ParameterList): void {
  if (given.length !== declared.length) {
    throw new ShapeError(kernel, `${given.length} parameters for ${declared.length}.`);
  }
}
