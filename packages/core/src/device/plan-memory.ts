import type { BufferPool, MemoryPool, PooledBuffer } from './buffer-pool.ts';

/**
 * Buffers of a plan's temporaries. What is freed inside stays with the plan, whose commands go on using it, so nobody else
 * gets it; the next capture takes the same buffers in the same order.
 */
export class PlanMemory implements MemoryPool {
  readonly #pool: BufferPool;
  readonly #used = new Set<PooledBuffer>();
  /** All that are the plan's, in the order in which they came. */
  readonly #all: PooledBuffer[] = [];
  readonly #free = new Map<number, PooledBuffer[]>();
  #disposed = false;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Buffers that tensors hold. */
  get used(): readonly PooledBuffer[] {
    return [...this.#used];
  }

  acquire(bytes: number): PooledBuffer {
    const free = this.#free.get(this.#pool.sizeOf(bytes))?.pop();
    if (free) this.#pool.unpark(free);
    const buffer = free ?? this.#pool.acquire(bytes);
    if (!free) this.#all.push(buffer);
    this.#used.add(buffer);
    return buffer;
  }

  /** Before another capture: work that takes the same sizes in the same order gets the same buffers again. */
  rewind(): void {
    this.#free.clear();
    for (const buffer of [...this.#all].reverse()) if (!this.#used.has(buffer)) this.#listOf(buffer).push(buffer);
  }

  release(buffer: PooledBuffer): void {
    this.#used.delete(buffer);
    // A handle on a result may outlive the plan.
    if (this.#disposed) {
      this.#pool.release(buffer);
      return;
    }
    this.#pool.park(buffer);
    this.#listOf(buffer).push(buffer);
  }

  /** Gives back what is free, and the rest as it is freed. Idempotent. */
  dispose(): void {
    this.#disposed = true;
    for (const list of this.#free.values()) {
      for (const buffer of list) {
        this.#pool.unpark(buffer);
        this.#pool.release(buffer);
      }
    }
    this.#free.clear();
  }

  #listOf({ bytes }: PooledBuffer): PooledBuffer[] {
    const list = this.#free.get(bytes) ?? [];
    this.#free.set(bytes, list);
    return list;
  }
}
