import { checkInteger } from '../attention/check-inputs.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, CapacityError, DisposedError, LimitError } from '../errors.ts';
import { plainBytes } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { SharedRows } from './shared-rows.ts';
import type { CacheDtype, KvCacheOptions, LayerCache } from './types.ts';
import { checkRows, writeRows } from './write-rows.ts';

/**
 * Keys and values of all layers at a fixed capacity, contiguous per head and written in place.
 *
 * A step appends its rows to every layer and then calls `advance` once. All layers hold the same number of tokens.
 */
export class KvCache {
  readonly gpu: Gpu;
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly dtype: CacheDtype;
  readonly layers: number;
  #capacity: number;
  #length: number;
  #rows: SharedRows[];
  readonly #views: readonly LayerCache[];
  #disposed = false;

  /**
   * A cache without tokens.
   *
   * @throws LimitError when a layer's keys are over the device's binding limit; @throws ArgumentError
   */
  static create(gpu: Gpu, options: KvCacheOptions): KvCache {
    const { layers, batch = 1, kvHeads, headSize, capacity, dtype = 'f32' } = options;
    for (const [name, value] of Object.entries({ layers, batch, kvHeads, headSize, capacity })) {
      checkInteger(`KvCache: ${name}`, value, 1, 2 ** 31);
    }
    if (dtype !== 'f32' && dtype !== 'f16') throw new ArgumentError('KvCache: dtype', dtype, 'f32, f16');
    // Two halves share a word, which one invocation writes.
    if (dtype === 'f16' && headSize % 2 === 1)
      throw new ArgumentError('KvCache: headSize', headSize, 'an even number for f16');
    const cache = new KvCache(gpu, { layers, batch, kvHeads, headSize, dtype, capacity }, 0, []);
    cache.#checkCapacity(capacity);
    const shape = [batch, kvHeads, capacity, headSize];
    try {
      for (let layer = 0; layer < layers; layer++) cache.#rows.push(new SharedRows(gpu, shape, dtype));
    } catch (error) {
      cache.dispose();
      throw error;
    }
    return cache;
  }

  private constructor(gpu: Gpu, options: Required<KvCacheOptions>, length: number, rows: SharedRows[]) {
    this.gpu = gpu;
    this.layers = options.layers;
    this.batch = options.batch;
    this.kvHeads = options.kvHeads;
    this.headSize = options.headSize;
    this.dtype = options.dtype;
    this.#capacity = options.capacity;
    this.#length = length;
    this.#rows = rows;
    this.#views = Array.from({ length: options.layers }, (_, layer) => this.#view(layer));
  }

  /** Tokens that fit. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#length;
  }

  /** GPU bytes that it holds; rows shared with a fork count for both. */
  get bytes(): number {
    return this.#rows.reduce((sum, { keys, values }) => sum + this.gpu.bytesOf(keys) + this.gpu.bytesOf(values), 0);
  }

  /** One layer's keys and values. */
  layer(index: number): LayerCache {
    this.#assertAlive();
    checkInteger('KvCache.layer: index', index, 0, this.layers - 1);
    return this.#views[index] as LayerCache;
  }

  /** Makes the rows that were appended to every layer count. @throws CapacityError */
  advance(tokens: number): void {
    this.#assertAlive();
    checkInteger('KvCache.advance: tokens', tokens, 0, 2 ** 31);
    this.#assertRoom(tokens);
    this.#length += tokens;
  }

  /** Forgets all tokens from position `length` on. */
  truncate(length: number): void {
    this.#assertAlive();
    checkInteger('KvCache.truncate: length', length, 0, this.#length);
    this.#length = length;
  }

  /** Moves the cache into larger (or smaller) buffers; all tokens stay. */
  grow(capacity: number): void {
    this.#assertAlive();
    checkInteger('KvCache.grow: capacity', capacity, Math.max(this.#length, 1), 2 ** 31);
    this.#checkCapacity(capacity);
    if (capacity === this.#capacity) return;
    for (let layer = 0; layer < this.layers; layer++) this.#replace(layer, capacity);
    this.#capacity = capacity;
  }

  /** A second cache with the same tokens. Both share their buffers until one of them writes to a layer. */
  fork(): KvCache {
    this.#assertAlive();
    return new KvCache(
      this.gpu,
      { ...this, capacity: this.#capacity },
      this.#length,
      this.#rows.map((rows) => rows.share()),
    );
  }

  /** Frees the buffers (those shared with a fork once it is disposed as well). Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const rows of this.#rows) rows.release();
    this.#rows = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #view(layer: number): LayerCache {
    const rows = (): SharedRows => {
      this.#assertAlive();
      return this.#rows[layer] as SharedRows;
    };
    const write = (position: number, k: Tensor, v: Tensor) => {
      if (rows().shared) this.#replace(layer, this.#capacity);
      writeRows(rows().keys, rows().values, position, k, v);
    };
    return {
      get keys() {
        return rows().keys;
      },
      get values() {
        return rows().values;
      },
      append: (k, v) => {
        this.#assertRoom(checkRows(rows().keys, k, v));
        write(this.#length, k, v);
      },
      overwrite: (position, k, v) => {
        const count = checkRows(rows().keys, k, v);
        checkInteger('LayerCache.overwrite: position', position, 0, this.#length - count);
        write(position, k, v);
      },
    };
  }

  /** Gives a layer buffers of its own. */
  #replace(layer: number, capacity: number): void {
    const old = this.#rows[layer] as SharedRows;
    this.#rows[layer] = old.copy(capacity, this.#length);
    old.release();
  }

  #checkCapacity(capacity: number): void {
    const bytes = plainBytes(this.dtype, this.batch * this.kvHeads * capacity * this.headSize);
    const { maxStorageBinding } = this.gpu.capabilities;
    if (bytes > maxStorageBinding) {
      throw new LimitError(
        `KvCache: one layer's keys at capacity ${capacity}`,
        bytes,
        'maxStorageBufferBindingSize',
        maxStorageBinding,
      );
    }
  }

  #assertRoom(tokens: number): void {
    if (this.#length + tokens > this.#capacity) throw new CapacityError(this.#capacity, this.#length + tokens);
  }

  #assertAlive(): void {
    if (this.#disposed) throw new DisposedError('The KvCache');
  }
}
