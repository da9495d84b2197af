import type { KernelTiming, ProfileEntry, Profiler } from './profiler.ts';

const capacity = 2048;

/** Measures each dispatch in a compute pass of its own with timestamp queries, which the device must have. */
export class TimestampProfiler implements Profiler {
  readonly source = 'timestamps';
  readonly #entries: ProfileEntry[] = [];
  readonly #device: GPUDevice;
  readonly #querySet: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #pending: { name: string; flops: number; bytes: number }[] = [];
  #submitted: (() => void) | undefined;
  #reads: Promise<void>[] = [];

  constructor(device: GPUDevice) {
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

  /** Records the copy of this submission's timestamps. */
  beforeSubmit(encoder: GPUCommandEncoder): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    const staging = this.#device.createBuffer({
      size: pending.length * 16,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    encoder.resolveQuerySet(this.#querySet, 0, pending.length * 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, pending.length * 16);
    this.#submitted = () => {
      const read = this.#collect(staging, pending);
      // A failure is thrown by `finish`, which may come much later.
      read.catch(() => undefined);
      this.#reads.push(read);
    };
  }

  /** Asks for the timestamps: mapping must wait until the submit that fills the buffer. */
  afterSubmit(): void {
    this.#submitted?.();
    this.#submitted = undefined;
  }

  async finish(): Promise<readonly ProfileEntry[]> {
    const reads = this.#reads;
    this.#reads = [];
    await Promise.all(reads);
    return this.#entries;
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
      this.#entries.push({ ...dispatch, startNs: Number(start), durationNs: Number(end - start) });
    });
    staging.unmap();
    staging.destroy();
  }
}
