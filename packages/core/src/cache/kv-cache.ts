import { checkInteger } from '../attention/check-inputs.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, CapacityError, DisposedError, RefusedError } from '../errors.ts';
import type { PromptFacts } from '../protocol/encoded-prompt.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { createLayer } from './create-layer.ts';
import { DeviceNumbers } from './device-numbers.ts';
import { LayerSlot, type SlotOwner } from './layer-slot.ts';
import { checkCacheDtype } from './paged/precision.ts';
import { restoreLayers, saveLayers } from './save-cache.ts';
import { SequencePass } from './sequence-pass.ts';
import { StateLayer } from './state-layer.ts';
import type { CacheDtype, CacheLayer, KvCacheOptions, LayerCache, LayerCacheSpec } from './types.ts';

const contiguous: LayerCacheSpec = { kind: 'contiguous' };

interface Sizes {
  readonly capacity: number;
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly dtype: CacheDtype;
}

/**
 * What a model keeps of the tokens it has seen: one owner of all layers, each of a kind of its own (see
 * {@link KvCacheOptions}). Lengths count tokens seen, which layers may hold fewer rows of; sequences of a batch may differ.
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
  /** What is known of each sequence's prompt, [B]. It goes with the sequences to forks, batches and files. */
  prompts: readonly (PromptFacts | undefined)[];
  #lengths: readonly number[];
  #slots: LayerSlot[];
  #pass: SequencePass | undefined;
  /** Whether the pass was opened by `begin` rather than by its first append. */
  #begun = false;
  #nominalCapacity: number;
  readonly #numbers: DeviceNumbers;
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
    checkCacheDtype('KvCache: dtype', dtype);
    const sizes = { batch, kvHeads, headSize, dtype, capacity };
    const specs = typeof layers === 'number' ? Array.from({ length: layers }, () => contiguous) : layers;
    const made: CacheLayer[] = [];
    try {
      for (const spec of specs) made.push(createLayer(gpu, spec, sizes));
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
    return KvCache.#copy(
      caches.flatMap((cache) => cache.#lengths.map((_, sequence) => ({ cache, sequence }))),
      capacity,
    );
  }

  /**
   * A cache from the bytes of `save`, with the same tokens, room and kinds of layers.
   *
   * @throws ArgumentError for other bytes; LimitError, OutOfMemoryError
   */
  static restore(gpu: Gpu, bytes: Uint8Array): KvCache {
    const { cache, layers } = restoreLayers(gpu, bytes);
    const restored = new KvCache(gpu, cache, cache.lengths, layers);
    if (cache.prompts) restored.prompts = cache.prompts.map((prompt) => prompt ?? undefined);
    return restored;
  }

  private constructor(gpu: Gpu, sizes: Sizes, lengths: readonly number[], layers: CacheLayer[]) {
    this.gpu = gpu;
    this.layers = layers.length;
    this.batch = sizes.batch;
    this.kvHeads = sizes.kvHeads;
    this.headSize = sizes.headSize;
    this.dtype = sizes.dtype;
    this.#nominalCapacity = sizes.capacity;
    this.#lengths = lengths;
    this.prompts = new Array(sizes.batch).fill(undefined);
    this.#numbers = new DeviceNumbers(gpu);
    const cache = this;
    const owner: SlotOwner = {
      gpu,
      batch: sizes.batch,
      get lengths() {
        return cache.#lengths;
      },
      get pass() {
        return cache.#pass;
      },
      get nominalCapacity() {
        return cache.#nominalCapacity;
      },
      passOf: (tokens) => this.#passOf(tokens),
      otherPass: (counts, name) => new SequencePass(this.#numbers, this.#lengths, counts, name),
    };
    this.#slots = layers.map((layer, index) => new LayerSlot(owner, index, layer));
  }

  /** Tokens of a sequence that fit (of the one with the least room); infinite where all layers have a fixed size. */
  get capacity(): number {
    const [sequence] = this.#lengths
      .map((length, index) => ({ index, room: this.#capacityOf(index) - length }))
      .sort((a, b) => a.room - b.room);
    return this.#capacityOf(sequence?.index ?? 0);
  }

  /** Tokens that have been seen; of the longest sequence. */
  get length(): number {
    return Math.max(...this.#lengths);
  }

  /** Tokens that each sequence has seen, [B]. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** What is known of the first sequence's prompt. */
  get prompt(): PromptFacts | undefined {
    return this.prompts[0];
  }

  set prompt(prompt: PromptFacts | undefined) {
    this.prompts = [prompt, ...this.prompts.slice(1)];
  }

  /** GPU bytes that it holds; what is shared with a fork counts for both. */
  get bytes(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.bytes, this.#numbers.bytes);
  }

  /** A layer with keys and values. @throws ArgumentError for a layer that keeps a state */
  layer(index: number): LayerCache {
    const slot = this.#slot(index);
    if (slot.kind === 'state') {
      throw new ArgumentError('KvCache.layer: index', index, 'a layer with keys and values; this one keeps a state');
    }
    return slot;
  }

  /** A layer that keeps recurrent or convolution state. @throws ArgumentError for a layer with keys and values */
  state(index: number): StateLayer {
    const { content } = this.#slot(index);
    if (!(content instanceof StateLayer)) {
      throw new ArgumentError('KvCache.state: index', index, `a layer that keeps a state; this one is ${content.kind}`);
    }
    return content;
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
    const pass = this.#open(counts);
    this.#begun = true;
    return pass;
  }

  /**
   * Opens a pass of one token per sequence whose lengths and positions all stand on the device, so that its commands may be
   * captured in a plan and run again for later tokens; each time, this call brings the numbers up to date.
   *
   * @param bound Most tokens of a sequence for which the commands shall hold, those of the pass included.
   * @returns the pass, and the keys of the layers: other tensors than before mean that captured commands do not hold any more.
   *   Undefined where steps differ in more than their lengths: after an eviction, or with layers that are not rows at
   *   positions.
   * @throws CapacityError, ArgumentError
   */
  beginStep(bound: number): { readonly pass: SequencePass; readonly rows: readonly Tensor[] } | undefined {
    this.#assertAlive();
    const ones = new Array<number>(this.batch).fill(1);
    this.#assertRoom(ones);
    checkInteger('KvCache.beginStep: bound', bound, this.length + 1, this.capacity);
    const rows = this.#slots.map((slot) => slot.steadyRows());
    if (rows.includes(undefined)) return undefined;
    const pass = this.#open(ones, bound);
    this.#begun = true;
    pass.announce();
    for (const slot of this.#slots) slot.announce(pass);
    return { pass, rows: rows as Tensor[] };
  }

  /** The pass that {@link beginStep} opened, while it is open. */
  get openStep(): SequencePass | undefined {
    return this.#pass?.bound === undefined ? undefined : this.#pass;
  }

  /**
   * Makes the rows that were appended count. A layer that has cached fewer tokens than others becomes ragged.
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
    const pass = this.#pass ?? new SequencePass(this.#numbers, this.#lengths, new Array(this.batch).fill(tokens));
    const appended = this.#slots.some((slot) => slot.hasAppended);
    // Layers that appended have checked their own room.
    if (!appended) this.#assertRoom(pass.counts);
    for (const slot of this.#slots) slot.finish(pass, appended);
    this.#lengths = pass.ends;
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
    for (const [index, { content }] of this.#slots.entries()) {
      const reason = content.refusesTruncation(this.#lengths, to);
      if (reason) throw new RefusedError(`KvCache.truncate: layer ${index} cannot go back to ${to}: ${reason}.`);
    }
    this.#giveUp();
    for (const { content } of this.#slots) content.truncate(this.#lengths, to);
    this.#lengths = [...to];
  }

  /** Moves the cache into larger (or smaller) buffers; all tokens stay. */
  grow(capacity: number): void {
    this.#assertAlive();
    checkInteger('KvCache.grow: capacity', capacity, Math.max(this.length, 1), 2 ** 31);
    this.#giveUp();
    this.#nominalCapacity = capacity;
    for (const { content: layer } of this.#slots) {
      const own = this.#lengths.map((length, sequence) => layer.capacityOf(sequence, length));
      if (own.some((tokens) => Number.isFinite(tokens) && tokens !== capacity)) layer.grow(capacity, this.#lengths);
    }
  }

  /**
   * Makes sure that `tokens` further tokens fit behind every sequence; only layers that lack the room move.
   *
   * @param step Least room that they get. Default 256.
   */
  reserve(tokens: number, step = 256): void {
    this.#assertAlive();
    checkInteger('KvCache.reserve: tokens', tokens, 0, 2 ** 31);
    checkInteger('KvCache.reserve: step', step, 0, 2 ** 31);
    const lacks = (slot: LayerSlot) =>
      this.#lengths.some((length, sequence) => length + tokens > slot.capacityOf(sequence));
    const lacking = this.#slots.filter(lacks);
    if (lacking.length === 0) return;
    this.#giveUp();
    const capacity = this.length + Math.max(tokens, step);
    this.#nominalCapacity = Math.max(this.#nominalCapacity, capacity);
    for (const { content } of lacking) content.grow(capacity, this.#lengths);
  }

  /** A second cache with the same tokens. Both share their buffers until one of them writes to a layer. */
  fork(): KvCache {
    this.#assertAlive();
    const { batch, kvHeads, headSize, dtype } = this;
    const fork = new KvCache(
      this.gpu,
      { batch, kvHeads, headSize, dtype, capacity: this.#nominalCapacity },
      this.#lengths,
      this.#slots.map(({ content }) => content.fork()),
    );
    fork.prompts = this.prompts;
    return fork;
  }

  /**
   * All that counts, as bytes: a safetensors file with the tensors `layers.<n>.<name>`. One readback. A pass that is open is
   * not saved.
   */
  async save(): Promise<Uint8Array> {
    this.#assertAlive();
    this.#giveUp();
    const { batch, kvHeads, headSize, dtype } = this;
    const lengths = this.#lengths;
    const prompts = this.prompts.some((prompt) => prompt) ? { prompts: this.prompts } : {};
    const sizes = { batch, kvHeads, headSize, dtype, capacity: this.#nominalCapacity, lengths, ...prompts };
    return saveLayers(
      this.gpu,
      sizes,
      this.#slots.map(({ content }) => content.save(lengths)),
    );
  }

  /** A smaller or reordered batch: copies of the given sequences, as when some of them have ended. @throws ArgumentError */
  select(sequences: readonly number[]): KvCache {
    this.#assertAlive();
    if (sequences.length === 0) throw new ArgumentError('KvCache.select: sequences', '[]', 'one or more');
    for (const sequence of sequences) checkInteger('KvCache.select: sequences', sequence, 0, this.batch - 1);
    return KvCache.#copy(sequences.map((sequence) => ({ cache: this, sequence })));
  }

  /** Frees the buffers (those shared with a fork once it is disposed as well). Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { stored } of this.#slots) stored.dispose();
    this.#numbers.dispose();
    this.#slots = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  static #copy(sources: readonly { readonly cache: KvCache; readonly sequence: number }[], given?: number): KvCache {
    const first = (sources[0] as (typeof sources)[number]).cache;
    if (sources.length > 1 && sources.some(({ cache, sequence }) => cache.prompts[sequence]?.rotary)) {
      throw new RefusedError(
        'Prompts whose tokens have positions along several axes decode one by one, not in a batch.',
      );
    }
    const lengths = sources.map(({ cache, sequence }) => cache.#lengths[sequence] as number);
    const most = Math.max(...sources.map(({ cache, sequence }) => cache.#capacityOf(sequence)));
    const capacity = given ?? (Number.isFinite(most) ? most : first.#nominalCapacity);
    checkInteger('KvCache.join: capacity', capacity, Math.max(...lengths, 1), 2 ** 31);
    const layers: CacheLayer[] = [];
    try {
      for (const [index, { content: layer }] of first.#slots.entries()) {
        const own = sources.map(({ cache, sequence }, batch) => ({
          layer: (cache.#slots[index] as LayerSlot).content,
          sequence,
          length: lengths[batch] as number,
        }));
        // A ragged layer takes contiguous ones in; the reverse is not so.
        const leader = own.find((source) => source.layer.kind === 'ragged')?.layer ?? layer;
        layers.push(leader.join(own, capacity));
      }
    } catch (error) {
      for (const layer of layers) layer.dispose();
      throw error;
    }
    const { kvHeads, headSize, dtype } = first;
    const copy = new KvCache(first.gpu, { batch: sources.length, kvHeads, headSize, dtype, capacity }, lengths, layers);
    copy.prompts = sources.map(({ cache, sequence }) => cache.prompts[sequence]);
    return copy;
  }

  #isLike(other: KvCache): boolean {
    return (
      this.gpu === other.gpu &&
      this.layers === other.layers &&
      this.#slots.every(({ stored }, index) => stored.signature === other.#slots[index]?.stored.signature)
    );
  }

  #passOf(tokens: number): SequencePass {
    if (this.#pass && (this.#begun || this.#pass.tokens === tokens)) return this.#pass;
    const counts = new Array<number>(this.batch).fill(tokens);
    this.#assertRoom(counts);
    return this.#open(counts);
  }

  #open(counts: readonly number[], bound?: number): SequencePass {
    this.#giveUp();
    this.#pass = new SequencePass(this.#numbers, this.#lengths, counts, bound === undefined ? '' : 'step-', bound);
    return this.#pass;
  }

  /** Forgets what a pass appended that is not finished. */
  #giveUp(): void {
    if (this.#slots.some((slot) => slot.hasEvicted)) {
      throw new RefusedError('A layer evicted rows in the pass that is open; finish the pass with advance first.');
    }
    for (const slot of this.#slots) slot.giveUp();
    this.#close();
  }

  #close(): void {
    this.#pass = undefined;
    this.#begun = false;
  }

  #slot(index: number): LayerSlot {
    this.#assertAlive();
    checkInteger('KvCache.layer: index', index, 0, this.layers - 1);
    return this.#slots[index] as LayerSlot;
  }

  #capacityOf(sequence: number): number {
    return Math.min(...this.#slots.map((slot) => slot.capacityOf(sequence)));
  }

  #assertRoom(counts: readonly number[]): void {
    for (const [sequence, count] of counts.entries()) {
      const needed = (this.#lengths[sequence] as number) + count;
      const capacity = this.#capacityOf(sequence);
      if (needed > capacity) throw new CapacityError(capacity, needed);
    }
  }

  #assertAlive(): void {
    if (this.#disposed) throw new DisposedError('The KvCache');
  }
}
