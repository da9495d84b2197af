import type { Profiler } from '../profiling/profiler.ts';
import type { PooledBuffer } from './buffer-pool.ts';
import type { CommandSink, Dispatch } from './command-sink.ts';
import { ParameterSlots, slotBytes } from './parameter-slots.ts';

const slots = 1024;
const dispatchesPerSubmit = 1024;

/**
 * Collects dispatches and copies into one command encoder. Nothing runs until `submit`; parameters of all recorded
 * dispatches are uploaded at once, each in a 256-byte slot of its own that a dynamic offset selects.
 */
export class Recorder implements CommandSink {
  readonly uniforms: GPUBuffer;
  dispatches = 0;
  submits = 0;
  /** Number of the submission that is being recorded. */
  current = 0;
  profiler: Profiler | undefined;
  readonly #device: GPUDevice;
  readonly #slots = new ParameterSlots(slots);
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #slotsUsed = 0;
  #dispatchesRecorded = 0;
  #flopsRecorded = 0;
  readonly #maxFlops: number;
  #errorScopeOpen = false;
  readonly #onError: (error: GPUError) => void;

  /** `maxFlops`: most declared FLOPs of a submission, beyond which only a single dispatch goes. */
  constructor(device: GPUDevice, maxFlops: number, onError: (error: GPUError) => void) {
    this.#device = device;
    this.#maxFlops = maxFlops;
    this.#onError = onError;
    this.uniforms = device.createBuffer({
      label: 'saccade parameters',
      size: slotBytes * slots,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  parameters(flops = 0): ParameterSlots {
    const full = this.#slotsUsed === slots || this.#dispatchesRecorded >= dispatchesPerSubmit;
    if (full || this.#flopsRecorded + flops > this.#maxFlops) this.submit();
    this.#flopsRecorded += flops;
    return this.#slots.begin(this.#slotsUsed++);
  }

  dispatch({ name, pipeline, group, offset, x, y, work }: Dispatch): void {
    const timestampWrites = this.profiler?.begin(name, work);
    const pass = timestampWrites ? this.#timedPass(timestampWrites) : this.#openPass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group, [offset]);
    pass.dispatchWorkgroups(x, y, 1);
    if (timestampWrites) this.#endPass();
    this.dispatches++;
    this.#dispatchesRecorded++;
  }

  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void {
    this.#endPass();
    this.#openEncoder().copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
  }

  clear(target: GPUBuffer, offset: number, bytes: number): void {
    this.#endPass();
    this.#openEncoder().clearBuffer(target, offset, bytes);
  }

  use(buffer: PooledBuffer): void {
    buffer.lastUse = this.current;
  }

  /** Sends everything recorded to the queue. */
  submit(): void {
    if (!this.#encoder) return;
    this.#endPass();
    if (this.#slotsUsed > 0) {
      this.#device.queue.writeBuffer(this.uniforms, 0, this.#slots.bytes, 0, this.#slotsUsed * slotBytes);
    }
    this.profiler?.beforeSubmit(this.#encoder);
    this.#device.queue.submit([this.#encoder.finish()]);
    this.profiler?.afterSubmit();
    this.#encoder = undefined;
    this.#slotsUsed = 0;
    this.#dispatchesRecorded = 0;
    this.#flopsRecorded = 0;
    this.submits++;
    this.current++;
    this.#closeErrorScope();
  }

  #openEncoder(): GPUCommandEncoder {
    if (!this.#encoder) {
      this.#device.pushErrorScope('validation');
      this.#device.pushErrorScope('out-of-memory');
      this.#errorScopeOpen = true;
      this.#encoder = this.#device.createCommandEncoder();
    }
    return this.#encoder;
  }

  #closeErrorScope(): void {
    if (!this.#errorScopeOpen) return;
    this.#errorScopeOpen = false;
    for (let scope = 0; scope < 2; scope++) {
      this.#device.popErrorScope().then(
        (error) => error && this.#onError(error),
        () => undefined, // the device is lost, which is reported on its own path
      );
    }
  }

  #openPass(): GPUComputePassEncoder {
    this.#pass ??= this.#openEncoder().beginComputePass();
    return this.#pass;
  }

  #timedPass(timestampWrites: GPUComputePassTimestampWrites): GPUComputePassEncoder {
    this.#endPass();
    this.#pass = this.#openEncoder().beginComputePass({ timestampWrites });
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}
