import { LimitError } from '../errors.ts';
import { type Dtype, isQuantized, plainBytes } from '../tensor/dtype.ts';
import { quantizedBytes } from '../tensor/quantized.ts';
import { elementCount, type Shape } from '../tensor/shape.ts';
import { Storage, type StoragePiece } from '../tensor/storage.ts';
import type { MemoryPool, PooledBuffer } from './buffer-pool.ts';
import type { Capabilities } from './capabilities.ts';
import type { CommandSink } from './command-sink.ts';

/** Content that new tensors get: whatever the buffer holds, NaN or zeros. */
export type InitialContent = 'any' | 'nan' | 'zeros';

/** Memory of tensors: buffers from a pool, more than one for a tensor that a single binding cannot hold. */
export class TensorMemory {
  readonly #device: GPUDevice;
  readonly #limit: number;
  readonly #content: InitialContent;
  #nanSource: GPUBuffer | undefined;

  constructor(device: GPUDevice, { maxStorageBinding, maxBufferSize }: Capabilities, content: InitialContent) {
    this.#device = device;
    this.#limit = Math.min(maxStorageBinding, maxBufferSize);
    this.#content = content;
  }

  /**
   * Memory of a tensor, split along its first axis when over the binding limit.
   * @throws LimitError when one row is; OutOfMemoryError
   */
  allocate(pool: MemoryPool, shape: Shape, dtype: Dtype): Storage {
    const bytesOf = (elements: number) =>
      isQuantized(dtype) ? quantizedBytes(dtype, elements) : plainBytes(dtype, elements);
    const total = bytesOf(elementCount(shape));
    const rows = shape[0] ?? 1;
    if (total <= this.#limit) return new Storage(pool, [{ buffer: pool.acquire(total), rowStart: 0, rows }]);
    const rowElements = elementCount(shape) / rows;
    // Whole words and whole alignment units, so that every piece starts a binding.
    let perPiece = Math.floor(this.#limit / bytesOf(rowElements * 2)) * 2;
    while (perPiece > 0 && bytesOf(rowElements * perPiece) > this.#limit) perPiece -= 2;
    if (perPiece <= 0) {
      const bytes = bytesOf(rowElements);
      throw new LimitError(`One row of ${dtype}[${shape}]`, bytes, 'maxStorageBufferBindingSize', this.#limit);
    }
    const pieces: StoragePiece[] = [];
    try {
      for (let rowStart = 0; rowStart < rows; rowStart += perPiece) {
        const count = Math.min(perPiece, rows - rowStart);
        pieces.push({ buffer: pool.acquire(bytesOf(rowElements * count)), rowStart, rows: count });
      }
    } catch (error) {
      for (const piece of pieces) pool.release(piece.buffer);
      throw error;
    }
    return new Storage(pool, pieces);
  }

  /** Gives new memory the content that tests and checks want to find in it. */
  initialize(sink: CommandSink, { pieces }: Storage): void {
    if (this.#content === 'any') return;
    for (const { buffer } of pieces) {
      if (this.#content === 'nan') this.#fillWithNaN(sink, buffer);
      else this.fillWithZeros(sink, buffer);
    }
  }

  fillWithZeros(sink: CommandSink, buffer: PooledBuffer): void {
    sink.clear(buffer.buffer, 0, buffer.bytes);
    sink.use(buffer);
  }

  #fillWithNaN(sink: CommandSink, buffer: PooledBuffer): void {
    const size = 2 ** 20;
    if (!this.#nanSource) {
      this.#nanSource = this.#device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
      // NaN as one f32, as two f16 and as two bf16.
      this.#device.queue.writeBuffer(this.#nanSource, 0, new Uint32Array(size / 4).fill(0x7fff7fff));
    }
    for (let at = 0; at < buffer.bytes; at += size) {
      sink.copy(this.#nanSource, 0, buffer.buffer, at, Math.min(size, buffer.bytes - at));
    }
    sink.use(buffer);
  }
}
