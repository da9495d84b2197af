import { SaccadeError } from '../errors.ts';

/** Declared work of a dispatch, from the kernel's cost function. */
export interface KernelTiming {
  readonly flops: number;
  readonly bytes: number;
}

/** One measured dispatch. Times are nanoseconds on the GPU's clock. */
export interface ProfileEntry extends KernelTiming {
  readonly name: string;
  readonly startNs: number;
  readonly durationNs: number;
}

const capacity = 2048;

/** Measures each dispatch in a compute pass of its own with timestamp queries. */
export class Profiler {
  readonly entries: ProfileEntry[] = [];
  readonly #device: GPUDevice;
  readonly #querySet: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #pending: { name: string; flops: number; bytes: number }[] = [];
  #reads: Promise<void>[] = [];

  constructor(device: GPUDevice) {
    if (!device.features.has('timestamp-query')) {
      throw new SaccadeError('unsupported', 'Profiling needs the feature timestamp-query, which this adapter lacks.');
    }
    this.#device = device;
    this.#querySet = device.createQuerySet({ type: 'timestamp', count: capacity * 2 });
    this.#resolved = device.createBuffer({
      size: capacity * 16,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** Reserves two queries for the next pass; undefined once the submission's queries are used up. */
  begin(name: string, timing: KernelTiming | undefined): GPUComputePassTimestampWrites | undefined {
    const index = this.#pending.length;
    if (index === capacity) return undefined;
    this.#pending.push({ name, flops: timing?.flops ?? 0, bytes: timing?.bytes ?? 0 });
    return { querySet: this.#querySet, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 };
  }

  /** Records the copy of this submission's timestamps; called once before each submit. */
  resolve(encoder: GPUCommandEncoder): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    const staging = this.#device.createBuffer({
      size: pending.length * 16,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    encoder.resolveQuerySet(this.#querySet, 0, pending.length * 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, pending.length * 16);
    // Mapping must wait until the submit that fills the buffer.
    this.#reads.push(Promise.resolve().then(() => this.#collect(staging, pending)));
  }

  /** Waits until every submitted dispatch has its time. */
  async finish(): Promise<readonly ProfileEntry[]> {
    const reads = this.#reads;
    this.#reads = [];
    await Promise.all(reads);
    return this.entries;
  }

  dispose(): void {
    this.#querySet.destroy();
    this.#resolved.destroy();
  }

  async #collect(staging: GPUBuffer, pending: { name: string; flops: number; bytes: number }[]): Promise<void> {
    await staging.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(staging.getMappedRange());
    pending.forEach((dispatch, index) => {
      const start = times[2 * index] as bigint;
      const end = times[2 * index + 1] as bigint;
      this.entries.push({ ...dispatch, startNs: Number(start), durationNs: Number(end - start) });
    });
    staging.unmap();
    staging.destroy();
  }
}
