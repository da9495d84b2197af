import { RefusedError } from '../errors.ts';
import { BufferPool } from './buffer-pool.ts';
import type { Capabilities } from './capabilities.ts';

/** Work that is recorded without being done: memory is counted instead of allocated, kernels are checked and noted. */
export class DryRun {
  readonly pool: BufferPool;
  /** Compile the pipelines that the work would use, by their keys. */
  readonly pipelines = new Map<string, () => Promise<void>>();

  constructor({ maxBufferSize }: Capabilities) {
    const none = { createBuffer: () => ({ destroy: () => undefined }) as unknown as GPUBuffer };
    const unlimited = { maxBytes: Number.POSITIVE_INFINITY, maxPooledBytes: 0 };
    this.pool = new BufferPool(none, maxBufferSize, unlimited, () => undefined);
  }

  /** @throws RefusedError for memory that was not freed */
  finish(): this {
    if (this.pool.liveBytes > 0) throw new RefusedError(`A dry run left ${this.pool.liveBytes} bytes behind.`);
    return this;
  }
}
