import { checkInteger } from '../attention/check-inputs.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, CapacityError, DisposedError, RefusedError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { createLayer } from './create-layer.ts';
import { DeviceNumbers } from './device-numbers.ts';
import { SequencePass } from './sequence-pass.ts';
import { StateLayer } from './state-layer.ts';
import type {
  CacheDtype,
  CacheLayer,
  CacheView,
  KvCacheOptions,
  LayerCache,
  LayerCacheSpec,
  RowLayer,
} from './types.ts';
import { checkRows } from './write-rows.ts';

const contiguous: LayerCacheSpec = { kind: 'contiguous' };

interface Sizes {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly dtype: CacheDtype;
}

/**
 * What a model keeps of the tokens it has seen: one owner of all layers, each of a kind of its own (see
 * {@link KvCacheOptions}). A sequence has the same length in every layer; sequences of a batch may differ.
 *
 * A pass appends its rows to the layers and then calls `advance` once. `begin` comes first where sequences append
 * different numbers of tokens.
 */
export class KvCache {
  readonly gpu: Gpu;
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly dtype: CacheDtype;
  readonly layers: number;
  #lengths: readonly number[];
  #layers: CacheLayer[];
  #pass: SequencePass | undefined;
  /** Whether the pass was opened by `begin` rather than by its first append. */
  #begun = false;
  readonly #numbers: DeviceNumbers;
  readonly #views: readonly LayerCache[];
  #disposed = false;

  /**
   * A cache without tokens.
   *
   * @throws LimitError when a layer's keys are over the device's binding limit; @throws ArgumentError
   */
  static create(gpu: Gpu, options: KvCacheOptions): KvCache {
    const { layers, batch = 1, kvHeads, headSize, capacity, dtype = 'f32' } = options;
    const count = typeof layers === 'number' ? layers : layers.length;
    for (const [name, value] of Object.entries({ layers: count, batch, kvHeads, headSize, capacity })) {
      checkInteger(`KvCache: ${name}`, value, 1, 2 ** 31);
    }
    if (dtype !== 'f32' && dtype !== 'f16') throw new ArgumentError('KvCache: dtype', dtype, 'f32, f16');
    const sizes = { batch, kvHeads, headSize, dtype };
    const specs = typeof layers === 'number' ? Array.from({ length: layers }, () => contiguous) : layers;
    const made: CacheLayer[] = [];
    try {
      for (const spec of specs) made.push(createLayer(gpu, spec, { ...sizes, capacity }));
    } catch (error) {
      for (const layer of made) layer.dispose();
      throw error;
    }
    return new KvCache(gpu, sizes, new Array(batch).fill(0), made);
  }

  /**
   * A batch of copies of all sequences of several caches, in this order: prompts that were run one by one then decode
   * together. The caches must have layers alike; they stay as they are.
   *
   * @param capacity Tokens of a sequence that fit. Default: the largest capacity.
   * @throws ArgumentError when the caches differ or one has a pass open
   */
  static join(caches: readonly KvCache[], capacity?: number): KvCache {
    const [first] = caches;
    if (!first) throw new ArgumentError('KvCache.join: caches', '[]', 'one or more caches');
    for (const cache of caches) {
      cache.#assertAlive();
      if (!first.#isLike(cache)) throw new ArgumentError('KvCache.join: caches', 'caches that differ', 'layers alike');
    }
    const room = capacity ?? Math.max(...caches.map((cache) => cache.capacity));
    return KvCache.#copy(
      caches.flatMap((cache) => cache.#lengths.map((_, sequence) => ({ cache, sequence }))),
      room,
    );
  }

  private constructor(gpu: Gpu, sizes: Sizes, lengths: readonly number[], layers: CacheLayer[]) {
    this.gpu = gpu;
    this.layers = layers.length;
    this.batch = sizes.batch;
    this.kvHeads = sizes.kvHeads;
    this.headSize = sizes.headSize;
    this.dtype = sizes.dtype;
    this.#lengths = lengths;
    this.#layers = layers;
    this.#numbers = new DeviceNumbers(gpu);
    this.#views = layers.map((_, index) => this.#view(index));
  }

  /** Tokens of a sequence that fit; infinite where all layers have a fixed size. */
  get capacity(): number {
    return Math.min(...this.#layers.map((layer) => layer.capacity));
  }

  /** Tokens that have been seen; of the longest sequence. */
  get length(): number {
    return Math.max(...this.#lengths);
  }

  /** Tokens that each sequence has seen, [B]. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** GPU bytes that it holds; what is shared with a fork counts for both. */
  get bytes(): number {
    return this.#layers.reduce((sum, layer) => sum + layer.bytes, this.#numbers.bytes);
  }

  /** A layer with keys and values. @throws ArgumentError for a layer that keeps a state */
  layer(index: number): LayerCache {
    this.#rowLayer(index);
    return this.#views[index] as LayerCache;
  }

  /** A layer that keeps recurrent or convolution state. @throws ArgumentError for a layer with keys and values */
  state(index: number): StateLayer {
    const layer = this.#layerAt(index);
    if (!(layer instanceof StateLayer)) {
      throw new ArgumentError('KvCache.state: index', index, `a layer that keeps a state; this one is ${layer.kind}`);
    }
    return layer;
  }

  /**
   * Opens a pass in which sequence b appends `counts[b]` tokens; replaces one that was opened and not finished. Needed
   * only where the counts differ.
   *
   * @throws CapacityError, ArgumentError
   */
  begin(counts: readonly number[]): SequencePass {
    this.#assertAlive();
    if (counts.length !== this.batch) {
      throw new ArgumentError('KvCache.begin: counts', counts, `${this.batch} numbers, one per sequence`);
    }
    for (const count of counts) checkInteger('KvCache.begin: counts', count, 0, 2 ** 31);
    this.#assertRoom(counts);
    this.#pass = new SequencePass(this.#numbers, this.#lengths, counts);
    this.#begun = true;
    return this.#pass;
  }

  /**
   * Makes the rows that were appended to every layer count.
   *
   * @param tokens Of every sequence. Default: as the pass appended.
   * @throws CapacityError, ArgumentError
   */
  advance(tokens?: number): void {
    this.#assertAlive();
    const counts = this.#pass?.counts;
    if (tokens === undefined) {
      if (!counts) throw new ArgumentError('KvCache.advance: tokens', tokens, 'a number where nothing was appended');
    } else {
      checkInteger('KvCache.advance: tokens', tokens, 0, 2 ** 31);
      if (counts?.some((count) => count !== tokens)) {
        throw new ArgumentError('KvCache.advance: tokens', tokens, `the number that was appended (${counts})`);
      }
    }
    const added = counts ?? new Array<number>(this.batch).fill(tokens as number);
    this.#assertRoom(added);
    this.#lengths = this.#lengths.map((length, sequence) => length + (added[sequence] as number));
    this.#close();
  }

  /**
   * Forgets the tokens from position `length` on; a pass that was not finished as well.
   *
   * @param length Of every sequence, or one length for each.
   * @throws RefusedError where a layer cannot go back: windows that have moved on, recurrent states
   */
  truncate(length: number | readonly number[]): void {
    this.#assertAlive();
    const to = typeof length === 'number' ? this.#lengths.map((own) => Math.min(own, length)) : length;
    if (to.length !== this.batch) {
      throw new ArgumentError('KvCache.truncate: length', length, `${this.batch} numbers, one per sequence`);
    }
    if (typeof length === 'number') checkInteger('KvCache.truncate: length', length, 0, this.length);
    for (const [sequence, own] of to.entries()) {
      checkInteger('KvCache.truncate: length', own, 0, this.#lengths[sequence] as number);
    }
    for (const [index, layer] of this.#layers.entries()) {
      const reason = layer.refusesTruncation(this.#lengths, to);
      if (reason) throw new RefusedError(`KvCache.truncate: layer ${index} cannot go back to ${to}: ${reason}.`);
    }
    for (const layer of this.#layers) layer.truncate(to);
    this.#lengths = [...to];
    this.#close();
  }

  /** Moves the cache into larger (or smaller) buffers; all tokens stay. */
  grow(capacity: number): void {
    this.#assertAlive();
    checkInteger('KvCache.grow: capacity', capacity, Math.max(this.length, 1), 2 ** 31);
    for (const layer of this.#layers) {
      if (Number.isFinite(layer.capacity) && layer.capacity !== capacity) layer.grow(capacity, this.#lengths);
    }
  }

  /** A second cache with the same tokens. Both share their buffers until one of them writes to a layer. */
  fork(): KvCache {
    this.#assertAlive();
    return new KvCache(
      this.gpu,
      this,
      this.#lengths,
      this.#layers.map((layer) => layer.fork()),
    );
  }

  /** A smaller or reordered batch: copies of the given sequences, as when some of them have ended. @throws ArgumentError */
  select(sequences: readonly number[]): KvCache {
    this.#assertAlive();
    if (sequences.length === 0) throw new ArgumentError('KvCache.select: sequences', '[]', 'one or more');
    for (const sequence of sequences) checkInteger('KvCache.select: sequences', sequence, 0, this.batch - 1);
    return KvCache.#copy(
      sequences.map((sequence) => ({ cache: this, sequence })),
      this.capacity,
    );
  }

  /** Frees the buffers (those shared with a fork once it is disposed as well). Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const layer of this.#layers) layer.dispose();
    this.#numbers.dispose();
    this.#layers = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  static #copy(sources: readonly { readonly cache: KvCache; readonly sequence: number }[], capacity: number): KvCache {
    const first = (sources[0] as (typeof sources)[number]).cache;
    const lengths = sources.map(({ cache, sequence }) => cache.#lengths[sequence] as number);
    if (Number.isFinite(capacity)) checkInteger('KvCache.join: capacity', capacity, Math.max(...lengths, 1), 2 ** 31);
    const layers: CacheLayer[] = [];
    try {
      for (const [index, layer] of first.#layers.entries()) {
        const own = sources.map(({ cache, sequence }, batch) => ({
          layer: cache.#layers[index] as CacheLayer,
          sequence,
          length: lengths[batch] as number,
        }));
        layers.push(layer.join(own, capacity));
      }
    } catch (error) {
      for (const layer of layers) layer.dispose();
      throw error;
    }
    const { kvHeads, headSize, dtype } = first;
    return new KvCache(first.gpu, { batch: sources.length, kvHeads, headSize, dtype }, lengths, layers);
  }

  #isLike(other: KvCache): boolean {
    return (
      this.gpu === other.gpu &&
      this.layers === other.layers &&
      this.#layers.every((layer, index) => layer.signature === other.#layers[index]?.signature)
    );
  }

  #view(index: number): LayerCache {
    const layer = () => this.#rowLayer(index);
    return {
      get kind() {
        return layer().kind;
      },
      get keys() {
        return layer().keys;
      },
      get values() {
        return layer().values;
      },
      get bytes() {
        return layer().bytes;
      },
      append: (k, v) => this.#append(layer(), k, v),
      view: () => layer().view(this.#pass ?? this.#nothing()),
      overwrite: (position, k, v) => {
        const own = layer();
        const count = checkRows(own.shape, k, v);
        checkInteger('LayerCache.overwrite: position', position, 0, Math.min(...this.#lengths) - count);
        own.overwrite(position, k, v, this.#lengths);
      },
    };
  }

  #append(layer: RowLayer, k: Tensor, v: Tensor): CacheView {
    if (!this.#begun) {
      const count = checkRows(layer.shape, k, v);
      if (this.#pass?.tokens !== count) {
        const counts = new Array<number>(this.batch).fill(count);
        this.#assertRoom(counts);
        this.#pass = new SequencePass(this.#numbers, this.#lengths, counts);
      }
    }
    const pass = this.#pass as SequencePass;
    checkRows(layer.shape, k, v, pass);
    return layer.append(pass, k, v);
  }

  #close(): void {
    this.#pass = undefined;
    this.#begun = false;
  }

  /** The pass of a view between two passes. */
  #nothing(): SequencePass {
    return new SequencePass(this.#numbers, this.#lengths, new Array<number>(this.batch).fill(0));
  }

  #rowLayer(index: number): RowLayer {
    const layer = this.#layerAt(index);
    if (layer instanceof StateLayer) {
      throw new ArgumentError('KvCache.layer: index', index, 'a layer with keys and values; this one keeps a state');
    }
    return layer as RowLayer;
  }

  #layerAt(index: number): CacheLayer {
    this.#assertAlive();
    checkInteger('KvCache.layer: index', index, 0, this.layers - 1);
    return this.#layers[index] as CacheLayer;
  }

  #assertRoom(counts: readonly number[]): void {
    const needed = Math.max(...counts.map((count, sequence) => (this.#lengths[sequence] as number) + count));
    const { capacity } = this;
    if (needed > capacity) throw new CapacityError(capacity, needed);
  }

  #assertAlive(): void {
    if (this.#disposed) throw new DisposedError('The KvCache');
  }
}
