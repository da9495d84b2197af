import type { MemoryPool, PooledBuffer } from '../device/buffer-pool.ts';

/** Rows [rowStart, rowStart + rows) of a tensor's leading axis, in one GPU buffer. */
export interface StoragePiece {
  readonly buffer: PooledBuffer;
  readonly rowStart: number;
  readonly rows: number;
}

/**
 * Reference-counted GPU memory of a tensor and its views. Nearly always one piece; a tensor over the device's binding
 * limit is split along its leading axis.
 */
export class Storage {
  readonly pieces: readonly StoragePiece[];
  readonly #pool: MemoryPool;
  #references = 1;

  constructor(pool: MemoryPool, pieces: readonly StoragePiece[]) {
    this.#pool = pool;
    this.pieces = pieces;
  }

  get references(): number {
    return this.#references;
  }

  retain(): this {
    this.#references++;
    return this;
  }

  release(): void {
    this.#references--;
    if (this.#references === 0) for (const piece of this.pieces) this.#pool.release(piece.buffer);
  }
}
