import { checkDeviceNumbers, checkInteger } from '../attention/check-inputs.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, RefusedError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import { padRows, replaceRows, type TensorSource } from './listed-rows.ts';
import { RaggedLayer } from './ragged-layer.ts';
import type { RowChoice } from './ragged-layout.ts';
import type { SequencePass } from './sequence-pass.ts';
import { StateLayer } from './state-layer.ts';
import type {
  CacheLayer,
  CacheView,
  KeptRows,
  LayerCache,
  LayerCacheKind,
  PaddedRows,
  RowBounds,
  RowGroup,
  RowLayer,
} from './types.ts';
import { checkRows } from './write-rows.ts';

/** What a slot asks of the cache that it is in. */
export interface SlotOwner {
  readonly gpu: Gpu;
  readonly batch: number;
  /** Tokens that count, per sequence. */
  readonly lengths: readonly number[];
  /** The pass that is open. */
  readonly pass: SequencePass | undefined;
  /** Tokens that the cache was made for; layers of a fixed size do not say. */
  readonly nominalCapacity: number;
  /** The pass that is open, or a new one in which every sequence appends `tokens`. @throws CapacityError */
  passOf(tokens: number): SequencePass;
  /** A pass of other tokens than those of the open one. */
  otherPass(counts: readonly number[], name?: string): SequencePass;
}

/** The place of one layer in a cache: what stands there may become another kind. */
export class LayerSlot implements LayerCache {
  readonly #owner: SlotOwner;
  readonly #index: number;
  #layer: CacheLayer;
  /** The pass in which it has appended, until that ends. */
  #appended: SequencePass | undefined;
  /** Whether rows are gone that the open pass, were it given up, would need. */
  #evicted = false;
  /** Tokens per sequence behind which the layer's room begins, where it was laid out inside the open pass. */
  #roomBehind: readonly number[] | undefined;
  /** Rows per sequence when a pass was finished without this layer: from then on rows are fewer than tokens. */
  #beforeGap: readonly number[] | undefined;

  constructor(owner: SlotOwner, index: number, layer: CacheLayer) {
    this.#owner = owner;
    this.#index = index;
    this.#layer = layer;
  }

  /** What stands here, for sizes only. */
  get stored(): CacheLayer {
    return this.#layer;
  }

  /** What stands here, all its rows where it says. */
  get content(): CacheLayer {
    this.#closeGap();
    return this.#layer;
  }

  get kind(): LayerCacheKind {
    return this.#layer.kind;
  }

  get keys(): Tensor {
    return this.#tensor('keys');
  }

  get values(): Tensor {
    return this.#tensor('values');
  }

  get rowsArePositions(): boolean {
    return this.#beforeGap === undefined && this.#rows().rowsArePositions;
  }

  get bytes(): number {
    return this.#layer.bytes;
  }

  get longest(): number {
    return Math.max(...this.#bounds().map(({ longest }) => longest));
  }

  get hasAppended(): boolean {
    return this.#appended !== undefined;
  }

  /** Whether rows are gone that the open pass, were it given up, would need. */
  get hasEvicted(): boolean {
    return this.#evicted;
  }

  /**
   * Keys of a layer whose passes of one token are alike but for their lengths: rows stand at their positions. No fork shares
   * them then.
   */
  steadyRows(): Tensor | undefined {
    if (!this.#standsAtPositions() || this.#beforeGap) return undefined;
    const layer = this.#rows();
    layer.own(this.#owner.lengths);
    return this.#tensor('keys');
  }

  /** Puts on the device what attention of a pass to come reads of lengths. */
  announce(pass: SequencePass): void {
    this.#rows().view(pass);
  }

  /** Tokens of a sequence that fit. */
  capacityOf(sequence: number): number {
    const tokens = this.#roomBehind ?? this.#owner.lengths;
    return this.#layer.capacityOf(sequence, tokens[sequence] as number);
  }

  append(k: Tensor, v: Tensor, positions?: Tensor): CacheView {
    if (positions) return this.#appendSome(k, v, positions);
    const layer = this.#rows();
    const pass = this.#owner.passOf(k.shape[2] ?? 0);
    checkRows(layer.shape, k, v, pass);
    const view = layer.append(pass, k, v);
    this.#appended = pass;
    return view;
  }

  view(): CacheView {
    const nothing = new Array<number>(this.#owner.batch).fill(0);
    return this.#rows().view(this.#appended ?? this.#owner.otherPass(nothing));
  }

  padded(): PaddedRows {
    const layer = this.#whole('padded');
    if (layer.padded) return layer.padded();
    const source = layer.source(this.#counted()) as TensorSource;
    return padRows(this.#owner.gpu, source, Math.max(this.longest, 1));
  }

  overwrite(position: number, k: Tensor, v: Tensor): void {
    const layer = this.#rows();
    const { lengths } = this.#owner;
    if (!layer.overwrite) {
      throw new RefusedError(
        `LayerCache.overwrite: rows of layer ${this.#index} do not stand at their position; use replace.`,
      );
    }
    const count = checkRows(layer.shape, k, v);
    checkInteger('LayerCache.overwrite: position', position, 0, Math.min(...lengths) - count);
    layer.overwrite(position, k, v, lengths);
  }

  replace(rows: RowChoice, k: Tensor, v: Tensor): void {
    const layer = this.#whole('replace');
    this.#checkChoice('replace', rows);
    const listed = rows.indices.shape[2] as number;
    checkInteger('LayerCache.replace: rows of k', checkRows(layer.shape, k, v), listed, listed);
    if (layer.replace) {
      layer.replace(rows, k, v);
      return;
    }
    layer.own(this.#counted());
    replaceRows(this.#owner.gpu, layer.source(this.#counted()) as TensorSource, rows, k, v);
  }

  evict(kept: KeptRows): void {
    const layer = this.#whole('evict');
    this.#checkChoice('evict', kept);
    const seen = this.#seen();
    if (layer.keep?.(kept, seen)) this.#roomBehind = this.#owner.pass && seen;
    else this.#layOut(kept);
    this.#noteEviction();
  }

  arrange(groups: readonly RowGroup[]): void {
    const layer = this.#whole('arrange');
    if (!layer.arrange) {
      throw new RefusedError(
        `LayerCache.arrange: layer ${this.#index} is ${layer.kind}; precision differs between rows of paged layers only.`,
      );
    }
    if (groups.length === 0) throw new ArgumentError('LayerCache.arrange: groups', '[]', 'one or more');
    for (const group of groups) this.#checkChoice('arrange', group);
    const seen = this.#seen();
    layer.arrange(groups, seen);
    this.#roomBehind = this.#owner.pass && seen;
    this.#noteEviction();
  }

  /** The open pass counts. A layer that has cached none of its tokens has a gap now. */
  finish(pass: SequencePass, othersAppended: boolean): void {
    if (!this.#appended && othersAppended && pass.rows > 0 && this.#standsAtPositions()) {
      this.#beforeGap ??= this.#owner.lengths;
    }
    this.#layer.settle(this.#appended);
    this.#close();
  }

  /** The open pass is forgotten. */
  giveUp(): void {
    this.#layer.settle(undefined);
    this.#close();
  }

  #noteEviction(): void {
    this.#evicted ||= (this.#appended ?? this.#owner.pass) !== undefined;
  }

  #tensor(name: 'keys' | 'values'): Tensor {
    const rows = this.#rows()[name];
    if (rows instanceof Tensor) return rows;
    throw new RefusedError(`LayerCache.${name}: rows of layer ${this.#index} stand in pages; see view and padded.`);
  }

  #close(): void {
    this.#appended = undefined;
    this.#evicted = false;
    this.#roomBehind = undefined;
  }

  /** Appends the tokens of a pass that this layer caches, where others cache more. */
  #appendSome(k: Tensor, v: Tensor, positions: Tensor): CacheView {
    const { batch } = this.#owner;
    const count = checkRows(this.#rows().shape, k, v);
    if (batch > 1) throw new RefusedError(`LayerCache.append: positions are for one sequence, not ${batch}.`);
    checkDeviceNumbers('LayerCache.append: positions', positions, [count]);
    this.#loosen(count);
    const pass = this.#owner.otherPass([count], `some-${count}-`);
    const view = this.#rows().append(pass, k, v, positions);
    this.#appended = pass;
    return view;
  }

  #standsAtPositions(): boolean {
    return this.#layer.kind === 'contiguous' || this.#layer.kind === 'window';
  }

  /** Makes the layer ragged, so that it may lack tokens that the sequence has; `some` of the open pass follow. */
  #loosen(some: number): void {
    this.#closeGap();
    const { pass, lengths } = this.#owner;
    if (this.#standsAtPositions())
      this.#layOut(
        undefined,
        lengths,
        pass?.ends.map((end) => end - some),
      );
  }

  /** Only when the layer is used again does a gap cost anything. */
  #closeGap(): void {
    if (!this.#beforeGap) return;
    const lengths = this.#beforeGap;
    this.#beforeGap = undefined;
    this.#layOut(undefined, lengths);
  }

  /** Moves the rows that the layer holds, or those to keep, into ragged storage with room behind the tokens `seen`. */
  #layOut(kept?: KeptRows, held = this.#counted(), seen = this.#seen()): void {
    const { gpu, nominalCapacity } = this.#owner;
    const layer = this.#rows();
    const sequences = held.map((length, sequence) => {
      const bounds = layer.bounds(sequence, length);
      const capacity = this.capacityOf(sequence);
      const tokens = Number.isFinite(capacity) ? capacity : nominalCapacity;
      const room = Math.max(tokens - (seen[sequence] as number), 0);
      if (!kept) return { ...bounds, room };
      const listed = kept.indices.shape[2] as number;
      return {
        total: Math.min(bounds.total, kept.totals?.[sequence] ?? listed * layer.shape.kvHeads),
        longest: Math.min(bounds.longest, listed),
        since: seen[sequence] as number,
        appended: 0,
        room: kept.room ?? room,
      };
    });
    const { window } = layer;
    this.#layer = RaggedLayer.create(gpu, { source: layer.source(held), keep: kept, sequences, window });
    this.#roomBehind = this.#owner.pass && seen;
    layer.dispose();
  }

  /** Tokens of each sequence, those of the open pass included once they were appended here. */
  #counted(): readonly number[] {
    return this.#appended?.ends ?? this.#owner.lengths;
  }

  /** Tokens of each sequence behind which a new layout has room. */
  #seen(): readonly number[] {
    const { lengths, pass } = this.#owner;
    return (this.#appended && pass?.ends) ?? lengths;
  }

  #bounds(): RowBounds[] {
    const layer = this.#rows();
    return this.#counted().map((length, sequence) => layer.bounds(sequence, length));
  }

  #rows(): RowLayer {
    this.#closeGap();
    if (this.#layer instanceof StateLayer) {
      throw new ArgumentError(
        'KvCache.layer: index',
        this.#index,
        'a layer with keys and values; this one keeps a state',
      );
    }
    return this.#layer as RowLayer;
  }

  /** The layer where it is not a window, whose rows come and go by themselves. */
  #whole(operation: string): RowLayer {
    const layer = this.#rows();
    if (layer.window !== undefined) {
      throw new RefusedError(
        `LayerCache.${operation}: layer ${this.#index} keeps a window of ${layer.window} tokens only.`,
      );
    }
    return layer;
  }

  #checkChoice(operation: string, { indices, counts }: RowChoice): void {
    const { batch, kvHeads } = this.#rows().shape;
    checkDeviceNumbers(`LayerCache.${operation}: indices`, indices, [batch, kvHeads, indices.shape[2] ?? 0]);
    if (counts) checkDeviceNumbers(`LayerCache.${operation}: counts`, counts, [batch, kvHeads]);
  }
}
