import type { Gpu } from '../device/gpu.ts';
import { CapacityError } from '../errors.ts';
import { concatenate } from '../ops/copy.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { HeadTable } from './head-table.ts';
import { layOut, type RaggedRows, type RowChoice, type RowSource, sourceRows } from './ragged-layout.ts';
import type { SequencePass } from './sequence-pass.ts';
import { SharedTensors } from './shared-tensors.ts';
import type { CacheDtype, CacheView, LayerSequence, RowBounds, RowLayer, RowSizes, SavedLayer } from './types.ts';
import { writeRows } from './write-rows.ts';

/** What the host knows of a sequence in a ragged layer. */
interface SequenceState extends RowBounds {
  /** Rows that fit behind those of every head. */
  readonly room: number;
}

/** Rows of another layer that are laid out anew. */
export interface Layout {
  readonly source: RowSource;
  readonly keep?: RowChoice | undefined;
  readonly sequences: readonly SequenceState[];
  /** Of a layer whose queries see no further. */
  readonly window?: number | undefined;
}

/** What is saved of a ragged layer beside its tensors. */
export interface RaggedFacts {
  readonly kind: 'ragged';
  readonly kvHeads: number;
  readonly parity: 0 | 1;
  readonly sequences: readonly SequenceState[];
  readonly window?: number | undefined;
}

/**
 * Keys and values of the tokens that each (sequence, head) still holds: [rows, D], all heads one behind the other, each
 * with room for tokens to come. Starts and lengths stand on the device, since what a head keeps is decided there; the host
 * knows bounds. Rows of a head ascend in position, so that causality may compare rows.
 */
export class RaggedLayer implements RowLayer {
  readonly kind = 'ragged';
  readonly rowsArePositions = false;
  readonly window: number | undefined;
  readonly #gpu: Gpu;
  readonly #kvHeads: number;
  #rows: RaggedRows;
  #heads: HeadTable;
  #sequences: readonly SequenceState[];
  /** Rows of every head that were appended and do not count yet, per sequence. */
  #pending: readonly number[] | undefined;

  /** Copies the rows of another layer, which stays as it is. @throws LimitError */
  static create(gpu: Gpu, { source, keep, sequences, window }: Layout): RaggedLayer {
    const rows = layOut(gpu, {
      source,
      first: 0,
      batch: sequences.length,
      keep,
      total: sequences.reduce((sum, { total }) => sum + total, 0),
      room: sequences.map(({ room }) => room),
    });
    return new RaggedLayer(gpu, rows, sourceRows(source).kvHeads, sequences, window);
  }

  private constructor(
    gpu: Gpu,
    rows: RaggedRows,
    kvHeads: number,
    sequences: readonly SequenceState[],
    window: number | undefined,
    parity: 0 | 1 = 0,
  ) {
    this.#gpu = gpu;
    this.#rows = rows;
    this.#kvHeads = kvHeads;
    this.#sequences = sequences;
    this.window = window;
    this.#heads = new HeadTable(rows.tensors.heads, sequences.length, kvHeads, parity);
  }

  get keys(): Tensor {
    return this.#rows.tensors.keys;
  }

  get values(): Tensor {
    return this.#rows.tensors.values;
  }

  get positions(): Tensor {
    return this.#rows.tensors.positions;
  }

  get shape(): RowSizes {
    const { keys } = this;
    return {
      batch: this.#sequences.length,
      kvHeads: this.#kvHeads,
      headSize: keys.shape[1] as number,
      dtype: keys.dtype as CacheDtype,
    };
  }

  get signature(): string {
    const { kvHeads, headSize, dtype } = this.shape;
    return `${this.window === undefined ? 'rows' : `window ${this.window}`} ${kvHeads} ${headSize} ${dtype}`;
  }

  get bytes(): number {
    return this.#rows.bytes;
  }

  capacityOf(sequence: number, length: number): number {
    return length + (this.#sequences[sequence] as SequenceState).room;
  }

  bounds(sequence: number): RowBounds {
    const { total, longest, since, appended } = this.#sequences[sequence] as SequenceState;
    const added = this.#pending?.[sequence] ?? 0;
    return { total: total + added * this.#kvHeads, longest: longest + added, since, appended: appended + added };
  }

  source(): RowSource {
    const { batch, kvHeads } = this.shape;
    return {
      kind: 'ragged',
      rows: this.#rows,
      lengthsAt: this.#heads.lengthsAt(this.#pending !== undefined),
      batch,
      kvHeads,
    };
  }

  append(pass: SequencePass, k: Tensor, v: Tensor, positions?: Tensor): CacheView {
    for (const [sequence, count] of pass.counts.entries()) {
      const { room } = this.#sequences[sequence] as SequenceState;
      const start = pass.starts[sequence] as number;
      if (count > room) throw new CapacityError(start + room, start + count);
    }
    this.own();
    const target = {
      kind: 'ragged',
      ...this.#rows.tensors,
      given: positions,
      lengthsAt: this.#heads.lengthsAt(false),
      nextAt: this.#heads.lengthsAt(true),
    } as const;
    writeRows(target, k, v, pass);
    this.#pending = pass.counts;
    return this.view(pass);
  }

  view(pass: SequencePass): CacheView {
    const longest = Math.max(...this.#sequences.map((_, sequence) => this.bounds(sequence).longest));
    const window =
      this.window === undefined
        ? {}
        : {
            slidingWindow: this.window,
            keyPositions: this.positions,
            queryOffset: pass.perSequence('starts', () => pass.starts),
          };
    return {
      keys: this.keys,
      values: this.values,
      options: {
        keyStarts: this.#heads.starts,
        keyLength: this.#heads.lengths(this.#pending !== undefined),
        keyBound: Math.min(longest, this.keys.shape[0] as number),
        ...window,
        ...pass.queryLength,
      },
    };
  }

  settle(pass: SequencePass | undefined): void {
    const added = this.#pending;
    if (added && pass) {
      this.#heads.turn();
      this.#sequences = this.#sequences.map((own, sequence) => {
        return { ...this.bounds(sequence), room: own.room - (added[sequence] as number) };
      });
    }
    this.#pending = undefined;
  }

  refusesTruncation(lengths: readonly number[], to: readonly number[]): string | undefined {
    for (const [sequence, { since, appended }] of this.#sequences.entries()) {
      const [length, target] = [lengths[sequence] as number, to[sequence] as number];
      if (target === length) continue;
      if (target < since) return `rows were evicted at token ${since} of sequence ${sequence}`;
      if (appended !== length - since) return 'it has not cached every token';
    }
    return undefined;
  }

  truncate(lengths: readonly number[], to: readonly number[]): void {
    const removed = lengths.map((length, sequence) => length - (to[sequence] as number));
    if (removed.every((count) => count === 0)) return;
    this.own();
    this.#heads.shorten(removed);
    this.#sequences = this.#sequences.map((own, sequence) => {
      const count = removed[sequence] as number;
      return {
        ...own,
        room: own.room + count,
        appended: own.appended - count,
        total: own.total - count * this.#kvHeads,
        longest: own.longest - count,
      };
    });
  }

  grow(capacity: number, lengths: readonly number[]): void {
    const sequences = this.#sequences.map((own, sequence) => ({
      ...own,
      room: Math.max(capacity - (lengths[sequence] as number), 0),
    }));
    const grown = RaggedLayer.create(this.#gpu, { source: this.source(), sequences, window: this.window });
    this.dispose();
    this.#rows = grown.#rows;
    this.#heads = grown.#heads;
    this.#sequences = grown.#sequences;
  }

  fork(): RaggedLayer {
    const rows = this.#rows.share();
    return new RaggedLayer(this.#gpu, rows, this.#kvHeads, this.#sequences, this.window, this.#heads.parity);
  }

  save(): SavedLayer {
    const facts: RaggedFacts = {
      kind: this.kind,
      kvHeads: this.#kvHeads,
      parity: this.#heads.parity,
      sequences: this.#sequences,
      window: this.window,
    };
    const tensors = Object.entries<Tensor>(this.#rows.tensors).map(([name, tensor]) => [name, tensor.alias()] as const);
    return { facts, tensors: Object.fromEntries(tensors) };
  }

  /** @param tensors As {@link save} gave them, which the layer then owns; @param facts likewise */
  static restore(gpu: Gpu, facts: RaggedFacts, { keys, values, positions, heads }: RaggedRows['tensors']): RaggedLayer {
    const rows = new SharedTensors(gpu, { keys, values, positions, heads });
    return new RaggedLayer(gpu, rows, facts.kvHeads, facts.sequences, facts.window, facts.parity);
  }

  join(sources: readonly LayerSequence[], capacity: number): RaggedLayer {
    const gpu = this.#gpu;
    const kvHeads = this.#kvHeads;
    const sequences = sources.map(({ layer, sequence, length }) => {
      return { ...(layer as RowLayer).bounds(sequence, length), room: Math.max(capacity - length, 0) };
    });
    const rows = gpu.tidy(() => {
      let firstRow = 0;
      const parts = sources.map(({ layer, sequence, length }, index) => {
        const { total, room } = sequences[index] as SequenceState;
        const source = (layer as RowLayer).source(new Array<number>((layer as RowLayer).shape.batch).fill(length));
        const part = layOut(gpu, { source, first: sequence, batch: 1, total, room: [room], firstRow });
        firstRow += part.tensors.keys.shape[0] as number;
        return part;
      });
      const heads = HeadTable.concatenate(
        gpu,
        parts.map((part) => part.tensors.heads),
        kvHeads,
      );
      const join = (name: 'keys' | 'values' | 'positions') =>
        concatenate(
          parts.map((part) => part.tensors[name]),
          0,
        );
      const joined = { keys: join('keys'), values: join('values'), positions: join('positions'), heads };
      for (const part of parts) part.release();
      return new SharedTensors(gpu, joined);
    });
    return new RaggedLayer(gpu, rows, kvHeads, sequences, this.window);
  }

  dispose(): void {
    this.#heads.dispose();
    this.#rows.release();
  }

  /** Before a write: buffers that no fork shares. */
  own(): void {
    if (!this.#rows.shared) return;
    const { parity } = this.#heads;
    const copy = this.#rows.copy(this.#gpu);
    this.dispose();
    this.#rows = copy;
    this.#heads = new HeadTable(copy.tensors.heads, this.#sequences.length, this.#kvHeads, parity);
  }
}
