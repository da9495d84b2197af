import type { KernelTiming } from '../profiling/profiler.ts';
import type { PooledBuffer } from './buffer-pool.ts';
import type { ParameterSlots } from './parameter-slots.ts';

/** One dispatch whose pipeline, bindings and grid are found. */
export interface Dispatch {
  /** Of the kernel. */
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** Of its parameters, in bytes. */
  readonly offset: number;
  readonly x: number;
  readonly y: number;
  /** Declared work. */
  readonly work: KernelTiming | undefined;
}

/** Where commands go: to the GPU with the next submission, or into a plan that is run later. */
export interface CommandSink {
  /** Reserves the parameter slot of a dispatch of this many FLOPs, which the caller fills before the next one. */
  parameters(flops?: number): ParameterSlots;
  dispatch(dispatch: Dispatch): void;
  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void;
  clear(target: GPUBuffer, offset: number, bytes: number): void;
  /** Says that the commands at hand use a buffer. */
  use(buffer: PooledBuffer): void;
}
