import { LimitError, OutOfMemoryError } from '../errors.ts';

/** A GPUBuffer with the id that bind-group keys use. */
export interface PooledBuffer {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Size of the GPUBuffer: at least what was asked for. */
  readonly bytes: number;
  /** Number of the submission in which the buffer was last recorded. */
  lastUse: number;
  /** How often it was given back: what remembers a buffer can tell whether it still belongs to the same owner. */
  releases: number;
}

/** Where memory of tensors comes from. */
export interface MemoryPool {
  acquire(bytes: number): PooledBuffer;
  release(entry: PooledBuffer): void;
}

export interface PoolOptions {
  /** Live and pooled bytes together may not exceed this. */
  readonly maxBytes: number;
  /** Free buffers kept for reuse may not exceed this. */
  readonly maxPooledBytes: number;
}

/** Size classes: four steps per power of two, so that at most a fifth of a buffer is waste. */
function sizeClass(bytes: number): number {
  const least = 256;
  if (bytes <= least) return least;
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 2, 4);
  return Math.ceil(bytes / step) * step;
}

/**
 * Storage buffers by size class. A freed buffer may be handed out again at once: the queue runs commands in order, so
 * later commands cannot overtake the earlier ones that still read it.
 */
export class BufferPool implements MemoryPool {
  liveBytes = 0;
  peakBytes = 0;
  pooledBytes = 0;
  created = 0;
  readonly #device: Pick<GPUDevice, 'createBuffer'>;
  readonly #maxBufferSize: number;
  readonly #options: PoolOptions;
  readonly #free = new Map<number, PooledBuffer[]>();
  readonly #onDestroy: (buffer: PooledBuffer) => void;
  #nextId = 1;

  constructor(
    device: Pick<GPUDevice, 'createBuffer'>,
    maxBufferSize: number,
    options: PoolOptions,
    onDestroy: (buffer: PooledBuffer) => void,
  ) {
    this.#device = device;
    this.#maxBufferSize = maxBufferSize;
    this.#options = options;
    this.#onDestroy = onDestroy;
  }

  /** A buffer of at least `bytes` bytes; its content is whatever the last user left. */
  acquire(bytes: number): PooledBuffer {
    const size = this.sizeOf(bytes);
    const found = this.#free.get(size)?.pop();
    if (found) this.pooledBytes -= size;
    const entry = found ?? this.#create(size);
    this.liveBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return entry;
  }

  release(entry: PooledBuffer): void {
    this.liveBytes -= entry.bytes;
    entry.releases++;
    if (this.pooledBytes + entry.bytes > this.#options.maxPooledBytes) {
      this.#destroy(entry);
      return;
    }
    this.pooledBytes += entry.bytes;
    const list = this.#free.get(entry.bytes);
    if (list) list.push(entry);
    else this.#free.set(entry.bytes, [entry]);
  }

  /** Counts a buffer as free that its owner keeps for itself. */
  park({ bytes }: PooledBuffer): void {
    this.liveBytes -= bytes;
    this.pooledBytes += bytes;
  }

  /** Counts a parked buffer as used again. */
  unpark({ bytes }: PooledBuffer): void {
    this.liveBytes += bytes;
    this.pooledBytes -= bytes;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
  }

  /** Destroys every free buffer. */
  trim(): void {
    for (const list of this.#free.values()) {
      for (const entry of list) {
        this.pooledBytes -= entry.bytes;
        this.#destroy(entry);
      }
    }
    this.#free.clear();
  }

  /** Size of the buffer that holds this many bytes. The largest are not rounded up beyond what the device allows. */
  sizeOf(bytes: number): number {
    return Math.min(sizeClass(bytes), Math.max(Math.ceil(bytes / 4) * 4, Math.floor(this.#maxBufferSize / 4) * 4));
  }

  #create(size: number): PooledBuffer {
    if (size > this.#maxBufferSize) throw new LimitError('A buffer', size, 'maxBufferSize', this.#maxBufferSize);
    if (this.liveBytes + this.pooledBytes + size > this.#options.maxBytes) this.trim();
    if (this.liveBytes + size > this.#options.maxBytes) {
      throw new OutOfMemoryError(
        `${size} bytes more do not fit: ${this.liveBytes} of the budget of ${this.#options.maxBytes} bytes are in use ` +
          '(openGpu({ maxBytes })). Dispose tensors, caches or models that are no longer needed.',
      );
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = this.#device.createBuffer({ size, usage });
    this.created++;
    return { id: this.#nextId++, buffer, bytes: size, lastUse: -1, releases: 0 };
  }

  #destroy(entry: PooledBuffer): void {
    this.#onDestroy(entry);
    entry.buffer.destroy();
  }
}
