import type { PageFormat } from '../../attention/paged/page-format.ts';
import { PagedRows } from '../../attention/paged/paged-rows.ts';
import { denseRows, unpackRows } from '../../attention/paged/unpack-rows.ts';
import type { Gpu } from '../../device/gpu.ts';
import { ArgumentError, CapacityError, RefusedError } from '../../errors.ts';
import { cast, contiguous, copyInto } from '../../ops/copy.ts';
import { gather, scatterRows } from '../../ops/gather.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { listedRows } from '../listed-rows.ts';
import type { RowChoice, RowSource } from '../ragged-layout.ts';
import type { SequencePass } from '../sequence-pass.ts';
import { SharedTensors } from '../shared-tensors.ts';
import type {
  CacheDtype,
  CacheView,
  KeptRows,
  LayerSequence,
  PaddedRows,
  RowBounds,
  RowGroup,
  RowLayer,
  RowSizes,
  SavedLayer,
} from '../types.ts';
import { writeRows } from '../write-rows.ts';
import { writePositions } from './page-positions.ts';
import { PageTable } from './page-table.ts';
import { type ResolvedPagedOptions, resolvePrecision } from './precision.ts';

/** What the host knows of a sequence in a paged layer. */
interface SequenceState {
  /** Rows up to the last one that counts, those between groups that hold nothing included. */
  readonly rows: number;
  /** Token behind which there is a row for every token that was appended, and how many rows those are. */
  readonly since: number;
  readonly appended: number;
}

/** Rows that hold tokens, where not all do: [start, start + count). */
interface RowRange {
  readonly start: number;
  readonly count: number;
}

/** What is saved of a paged layer beside its tensors. */
export interface PagedFacts {
  readonly kind: 'paged';
  readonly kvHeads: number;
  readonly headSize: number;
  readonly capacity: number;
  readonly pageSize: number;
  readonly recent: number;
  readonly formats: readonly PageFormat[];
  readonly aged?: number | undefined;
  readonly sequences: readonly SequenceState[];
  /** Formats of the pages of each sequence. */
  readonly pages: readonly (readonly number[])[];
  readonly groups: readonly RowRange[];
}

/** Marks a row that holds no token: behind every query, so that causality leaves it out. */
const noPosition = 0xffffffff;

/**
 * Keys and values in pages of as many tokens, each page in a precision of its own, which attention reads as they are. New rows are
 * written in full precision; a page is quantized once all its tokens are old enough. Forks share pages.
 *
 * A row is the place of a token in the order in which they were appended. Positions are kept once they differ from that:
 * where a pass was skipped, or rows were evicted or grouped.
 */
export class PagedLayer implements RowLayer {
  readonly kind = 'paged';
  readonly window = undefined;
  readonly #gpu: Gpu;
  readonly #recent: number;
  readonly #dtype: CacheDtype;
  /** Number of the format of old pages; none where they stay in full precision. */
  readonly #aged: number | undefined;
  /** Rows of a sequence that fit. */
  #capacity: number;
  #table: PageTable;
  #sequences: readonly SequenceState[];
  /** Rows of each group after `arrange`; those appended later follow behind `#groupRows`. */
  #groups: readonly RowRange[] = [];
  /** u32 [B, Hkv, M] */
  #positions: SharedTensors<'positions'> | undefined;
  /** Rows that were appended and do not count yet, per sequence. */
  #pending: readonly number[] | undefined;

  /** @throws LimitError */
  static create(gpu: Gpu, shape: RowSizes & { readonly capacity: number }, options: ResolvedPagedOptions): PagedLayer {
    const { batch, kvHeads, headSize, capacity, dtype } = shape;
    const { formats, recent, pageSize, aged } = options;
    const pages = Math.ceil(capacity / pageSize);
    const table = PageTable.create(gpu, { batch, kvHeads, headSize, pageSize, pages }, formats);
    const empty = Array.from({ length: batch }, () => ({ rows: 0, since: 0, appended: 0 }));
    return new PagedLayer(gpu, table, capacity, { recent, dtype, aged }, empty);
  }

  private constructor(
    gpu: Gpu,
    table: PageTable,
    capacity: number,
    options: { readonly recent: number; readonly dtype: CacheDtype; readonly aged: number | undefined },
    sequences: readonly SequenceState[],
  ) {
    this.#gpu = gpu;
    this.#table = table;
    this.#capacity = capacity;
    this.#recent = options.recent;
    this.#dtype = options.dtype;
    this.#aged = options.aged;
    this.#sequences = sequences;
  }

  get keys(): PagedRows {
    return new PagedRows(this.#table, 'keys');
  }

  get values(): PagedRows {
    return new PagedRows(this.#table, 'values');
  }

  get shape(): RowSizes {
    const { batch, kvHeads, headSize } = this.#table;
    return { batch, kvHeads, headSize, dtype: this.#dtype };
  }

  get signature(): string {
    const { kvHeads, headSize, pageSize, formats } = this.#table;
    return `paged ${kvHeads} ${headSize} ${pageSize} ${this.#recent} ${JSON.stringify(formats)}`;
  }

  get bytes(): number {
    return this.#table.bytes + (this.#positions?.bytes ?? 0);
  }

  /** Whether the row of every token is its position. */
  get rowsArePositions(): boolean {
    return this.#positions === undefined;
  }

  capacityOf(sequence: number, length: number): number {
    return length + this.#capacity - this.#state(sequence).rows;
  }

  bounds(sequence: number): RowBounds {
    const { since, appended } = this.#state(sequence);
    const longest = this.#held(sequence);
    const added = this.#pending?.[sequence] ?? 0;
    return { total: longest * this.#table.kvHeads, longest, since, appended: appended + added };
  }

  /** @throws RefusedError where rows do not stand at their position */
  source(): RowSource {
    if (this.#positions) throw new RefusedError('A paged layer whose rows were evicted or grouped stays paged.');
    return { kind: 'paged', keys: this.keys, values: this.values, dtype: this.#dtype, lengths: this.#ends() };
  }

  append(pass: SequencePass, k: Tensor, v: Tensor, positions?: Tensor): CacheView {
    for (const [sequence, count] of pass.counts.entries()) {
      const { rows } = this.#state(sequence);
      const start = pass.starts[sequence] as number;
      if (rows + count > this.#capacity) throw new CapacityError(start + this.#capacity - rows, start + count);
    }
    if (positions && this.#groups.length > 0) {
      throw new RefusedError('A layer whose rows were grouped caches every token of a pass.');
    }
    const starts = this.#sequences.map(({ rows }) => rows);
    const standing = starts.every((start, sequence) => start === pass.starts[sequence]);
    if (positions || !standing || this.#positions) this.#trackPositions();
    this.#makeWritable(starts, pass.counts);
    const own = standing ? pass : pass.at(`rows-${starts}`, starts);
    writeRows({ kind: 'paged', store: this.#table, dtype: this.#dtype }, k, v, own);
    if (this.#positions) {
      const table = pass.onDevice(`positions-${starts}`, () =>
        starts.flatMap((start, sequence) => [start, pass.starts[sequence] as number]),
      );
      writePositions(this.#positions.tensors.positions, table, pass.tokens, positions);
    }
    this.#pending = pass.counts;
    return this.view(pass);
  }

  view(pass: SequencePass): CacheView {
    const ends = this.#ends();
    const grouped =
      this.#groups.length > 0 && this.#positions
        ? {
            keyPositions: this.#positions.tensors.positions,
            queryOffset: pass.perSequence('starts', () => pass.starts),
          }
        : {};
    return {
      keys: this.keys,
      values: this.values,
      options: { ...pass.keyLength(`rows-${ends}`, ends), ...grouped, ...pass.queryLength },
    };
  }

  settle(pass: SequencePass | undefined): void {
    const added = this.#pending;
    this.#pending = undefined;
    if (added && pass) {
      this.#sequences = this.#sequences.map(({ rows, since, appended }, sequence) => {
        const count = added[sequence] as number;
        return { rows: rows + count, since, appended: appended + count };
      });
    }
    this.#dropUnused();
    this.#age();
  }

  padded(): PaddedRows {
    const { batch, kvHeads, headSize } = this.#table;
    return this.#gpu.tidy(() => {
      const held = this.#sequences.map((_, sequence) => this.#held(sequence));
      const longest = Math.max(...held, 1);
      const list = this.#flatRows(longest);
      const shape = [batch, kvHeads, longest];
      const unpack = (rows: PagedRows) => unpackRows(rows, list).reshape([...shape, headSize]);
      return {
        keys: unpack(this.keys),
        values: unpack(this.values),
        positions: this.#positionsOf(list).reshape(shape),
        lengths: this.#gpu.tensor(
          held.flatMap((count) => new Array<number>(kvHeads).fill(count)),
          [batch, kvHeads],
          'u32',
        ),
      };
    });
  }

  overwrite(position: number, k: Tensor, v: Tensor): void {
    if (this.#positions) {
      throw new RefusedError('LayerCache.overwrite: rows were evicted or grouped and do not stand at their position.');
    }
    const { pageSize, batch } = this.#table;
    const end = position + (k.shape[2] as number);
    const ranges = Array.from({ length: batch }, (_, sequence) => ({
      sequence,
      from: Math.floor(position / pageSize),
      to: Math.ceil(end / pageSize),
    }));
    this.#rewrite(ranges, () => {
      writeRows({ kind: 'paged', store: this.#table, dtype: this.#dtype }, k, v, position);
    });
  }

  /** Rewrites listed rows; their pages are unpacked meanwhile, and rows of those that are not listed keep their integers. */
  replace(choice: RowChoice, k: Tensor, v: Tensor): void {
    const { batch, kvHeads, headSize, pageSize, pages } = this.#table;
    const rows = Math.max(...this.#ends());
    const ranges = Array.from({ length: batch }, (_, sequence) => ({
      sequence,
      from: 0,
      to: Math.ceil(rows / pageSize),
    }));
    this.#rewrite(ranges, () => {
      this.#gpu.tidy(() => {
        const listed = this.#resolve(choice);
        const changed = [
          [this.keys, k],
          [this.values, v],
        ] as const;
        const [keys, values] = changed.map(([stored, given]) => {
          const all = denseRows(stored, pages * pageSize).reshape([-1, headSize]);
          scatterRows(all, listed, cast(given, 'f32').reshape([-1, headSize]));
          return all.reshape([batch, kvHeads, pages * pageSize, headSize]).slice(2, 0, rows);
        }) as [Tensor, Tensor];
        writeRows({ kind: 'paged', store: this.#table, dtype: this.#dtype }, keys, values, 0);
      });
    });
    this.#dropUnused();
  }

  /**
   * Keeps the listed rows, as if they had just been appended, and frees the pages of the others.
   * @returns whether it could: how many rows a head keeps must be known on the host
   * @throws RefusedError where it is not, and the layer is quantized, which ragged layers are not
   */
  keep({ indices, counts, room }: KeptRows, seen: readonly number[]): boolean {
    if (counts) {
      if (this.#aged === undefined && !this.#positions) return false;
      throw new RefusedError(
        'LayerCache.evict: counts on the device need a cache without precision; give every head as many rows.',
      );
    }
    this.#rebuild([{ indices }], seen, room);
    return true;
  }

  /** Keeps the rows of each group at a precision of its own, and frees the pages of the others. */
  arrange(groups: readonly RowGroup[], seen: readonly number[], room?: number): void {
    this.#rebuild(groups, seen, room);
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
    this.#sequences = this.#sequences.map(({ rows, since, appended }, sequence) => {
      const removed = (lengths[sequence] as number) - (to[sequence] as number);
      return { rows: rows - removed, since, appended: appended - removed };
    });
    this.#dropUnused();
  }

  grow(capacity: number, lengths: readonly number[]): void {
    const least = this.#sequences.map(({ rows }, sequence) => rows + capacity - (lengths[sequence] as number));
    this.#resize(Math.max(...least, 1));
  }

  fork(): PagedLayer {
    const fork = this.#with(this.#table.fork());
    fork.#positions = this.#positions?.share();
    return fork;
  }

  save(): SavedLayer {
    const { kvHeads, headSize, pageSize, formats, batch } = this.#table;
    const rows = this.#sequences.map((state) => state.rows);
    const pages = Array.from({ length: batch }, (_, sequence) =>
      Array.from({ length: this.#table.count(sequence) }, (__, page) => this.#table.formatOf({ sequence, page })),
    );
    const facts: PagedFacts = {
      ...{ kind: this.kind, kvHeads, headSize, pageSize, recent: this.#recent, formats, aged: this.#aged, pages },
      ...{ capacity: this.#capacity, sequences: this.#sequences, groups: this.#groups },
    };
    const words = this.#gpu.keep(this.#table.pack(rows));
    const positions = this.#positions?.tensors.positions;
    const longest = Math.max(...rows, 1);
    return {
      facts,
      tensors: { words, ...(positions ? { positions: positions.slice(2, 0, longest) } : {}) },
    };
  }

  /** @param tensors As {@link save} gave them; @param facts likewise, checked */
  static restore(gpu: Gpu, facts: PagedFacts, tensors: Readonly<Record<string, Tensor>>): PagedLayer {
    const { kvHeads, headSize, capacity, pageSize, formats, aged, recent, sequences, pages, groups } = facts;
    const [full] = formats as [Extract<PageFormat, { kind: 'full' }>];
    const shape = { batch: sequences.length, kvHeads, headSize, capacity, dtype: full.dtype };
    const layer = PagedLayer.create(gpu, shape, { formats, recent, pageSize, aged });
    layer.#sequences = sequences;
    layer.#groups = groups;
    let start = 0;
    for (const [sequence, own] of pages.entries()) {
      start += layer.#table.unpack(sequence, own, tensors.words as Tensor, start);
    }
    if (tensors.positions) layer.#takePositions(tensors.positions);
    return layer;
  }

  join(sources: readonly LayerSequence[], capacity: number): PagedLayer {
    const layers = sources.map(({ layer }) => layer as PagedLayer);
    if (layers.some((layer) => layer.#groups.length > 0)) {
      throw new RefusedError('KvCache.join: layers whose rows were grouped do not join.');
    }
    const gpu = this.#gpu;
    const { kvHeads, headSize, pageSize, formats } = this.#table;
    const states = sources.map(({ sequence }, index) => (layers[index] as PagedLayer).#state(sequence));
    const rows = Math.max(
      ...sources.map(({ length }, index) => (states[index] as SequenceState).rows + capacity - length),
    );
    const shape = { batch: sources.length, kvHeads, headSize, capacity: rows, dtype: this.#dtype };
    const joined = PagedLayer.create(gpu, shape, { formats, recent: this.#recent, pageSize, aged: this.#aged });
    joined.#sequences = states;
    for (const [index, { sequence }] of sources.entries()) {
      joined.#table.copy(index, (layers[index] as PagedLayer).#table, sequence);
    }
    if (layers.some((layer) => layer.#positions)) {
      joined.#trackPositions();
      const target = (joined.#positions as SharedTensors<'positions'>).tensors.positions;
      for (const [index, { sequence }] of sources.entries()) {
        const own = (layers[index] as PagedLayer).#positions?.tensors.positions;
        const rows = (states[index] as SequenceState).rows;
        if (!own) continue;
        gpu.tidy(() => {
          const place = (tensor: Tensor, at: number) => tensor.slice(0, at, at + 1).slice(2, 0, rows);
          copyInto(place(target, index), place(own, sequence));
        });
      }
    }
    return joined;
  }

  dispose(): void {
    this.#table.dispose();
    this.#positions?.release();
  }

  own(): void {}

  /** A layer like this one over another table. */
  #with(table: PageTable): PagedLayer {
    const options = { recent: this.#recent, dtype: this.#dtype, aged: this.#aged };
    const layer = new PagedLayer(this.#gpu, table, this.#capacity, options, this.#sequences);
    layer.#groups = this.#groups;
    return layer;
  }

  #state(sequence: number): SequenceState {
    return this.#sequences[sequence] as SequenceState;
  }

  /** Rows of each sequence, those that are being appended included. */
  #ends(): number[] {
    return this.#sequences.map(({ rows }, sequence) => rows + (this.#pending?.[sequence] ?? 0));
  }

  /** Rows in front of those that were appended after the last grouping. */
  get #groupRows(): number {
    const last = this.#groups.at(-1);
    return last ? this.#wholePages(last.start + last.count) : 0;
  }

  #wholePages(rows: number): number {
    const { pageSize } = this.#table;
    return Math.ceil(rows / pageSize) * pageSize;
  }

  /** The runs of rows of a sequence that hold tokens. */
  #ranges(sequence: number): RowRange[] {
    const start = this.#groupRows;
    return [...this.#groups, { start, count: (this.#ends()[sequence] as number) - start }];
  }

  /** How many rows of a sequence hold tokens. */
  #held(sequence: number): number {
    return this.#ranges(sequence).reduce((sum, { count }) => sum + count, 0);
  }

  /** Places of the first `length` rows that hold tokens, of all heads, u32 [B Hkv length]. */
  #flatRows(length: number): Tensor {
    const { batch, kvHeads, pages, pageSize } = this.#table;
    const flat = new Uint32Array(batch * kvHeads * length).fill(noPosition);
    for (let sequence = 0; sequence < batch; sequence++) {
      const ranges = this.#ranges(sequence);
      for (let head = 0; head < kvHeads; head++) {
        const own = sequence * kvHeads + head;
        let at = own * length;
        for (const { start, count } of ranges) {
          for (let row = start; row < start + count; row++) flat[at++] = own * pages * pageSize + row;
        }
      }
    }
    return this.#gpu.tensor(flat, [flat.length], 'u32');
  }

  /** Places of the rows that a list names, u32 [B Hkv K]. */
  #resolve(choice: RowChoice): Tensor {
    const { batch, kvHeads, pages, pageSize } = this.#table;
    const held = this.#sequences.map((_, sequence) => this.#held(sequence));
    const count = choice.indices.shape[2] as number;
    const lengths = this.#gpu.tensor(held, [batch], 'u32');
    const place = { lengths, lengthsAt: 0, ragged: false, batch, kvHeads };
    if (this.#groups.length === 0) {
      return listedRows(this.#gpu, { ...place, capacity: pages * pageSize }, count, choice);
    }
    const longest = Math.max(...held);
    return gather(this.#flatRows(longest), listedRows(this.#gpu, { ...place, capacity: longest }, count, choice));
  }

  /** Positions of rows by their places. */
  #positionsOf(list: Tensor): Tensor {
    const { pages, pageSize } = this.#table;
    const rows = pages * pageSize;
    if (this.#positions) return gather(this.#positions.tensors.positions.reshape([-1]), list);
    const identity = Uint32Array.from({ length: rows }, (_, row) => row);
    const { batch, kvHeads } = this.#table;
    const all = this.#gpu.tensor(identity, [1, rows], 'u32').broadcastTo([batch * kvHeads, rows]);
    return gather(contiguous(all).reshape([-1]), list);
  }

  #makeWritable(starts: readonly number[], counts: readonly number[]): void {
    const { pageSize } = this.#table;
    this.#table.makeWritable(
      starts.flatMap((start, sequence) => {
        const count = counts[sequence] as number;
        const range = { sequence, from: Math.floor(start / pageSize), to: Math.ceil((start + count) / pageSize) };
        return count > 0 ? [range] : [];
      }),
    );
  }

  /** Pages behind the last rows: of a pass that was given up, or of tokens that were forgotten. */
  #dropUnused(): void {
    const { pageSize } = this.#table;
    for (const [sequence, rows] of this.#ends().entries()) {
      const used = Math.ceil(rows / pageSize);
      if (this.#table.count(sequence) > used) this.#table.drop(sequence, used);
    }
  }

  /** Quantizes pages all of whose tokens are old. */
  #age(): void {
    if (this.#aged === undefined) return;
    const { pageSize } = this.#table;
    const first = this.#groupRows / pageSize;
    const old = this.#sequences.flatMap(({ rows }, sequence) => {
      const end = Math.floor((rows - this.#recent) / pageSize);
      const places: { sequence: number; page: number; count: number }[] = [];
      // What is in full precision stands behind what is not.
      for (let page = end - 1; page >= first; page--) {
        if (this.#table.formatOf({ sequence, page }) !== 0) break;
        places.push({ sequence, page, count: pageSize });
      }
      return places.reverse();
    });
    if (old.length === 0) return;
    this.#table.convert(old, this.#aged);
    this.#table.compact();
  }

  /** Unpacks pages, changes them, and packs those again that were packed. */
  #rewrite(ranges: readonly { sequence: number; from: number; to: number }[], change: () => void): void {
    const { pageSize } = this.#table;
    const packed = ranges.flatMap(({ sequence, from, to }) =>
      Array.from({ length: Math.min(to, this.#table.count(sequence)) - from }, (_, index) => ({
        sequence,
        page: from + index,
        count: pageSize,
      }))
        .map((place) => ({ ...place, format: this.#table.formatOf(place) }))
        .filter(({ format }) => format !== 0),
    );
    const counts = packed.map((place) => ({ ...place, count: this.#countIn(place.page) }));
    this.#table.makeWritable(ranges);
    change();
    for (const format of new Set(packed.map((place) => place.format))) {
      this.#table.convert(
        counts.filter((place) => place.format === format),
        format,
      );
    }
    if (packed.length > 0) this.#table.compact();
  }

  /** Rows of a quantized page that hold tokens: all, but for the last page of a group. */
  #countIn(page: number): number {
    const { pageSize } = this.#table;
    const group = this.#groups.find(({ start, count }) => {
      return page * pageSize >= start && page * pageSize < this.#wholePages(start + count);
    });
    return group ? Math.min(pageSize, group.start + group.count - page * pageSize) : pageSize;
  }

  /** Takes rows out of their pages and puts those of each group into pages of their own. */
  #rebuild(groups: readonly RowGroup[], seen: readonly number[], wantedRoom: number | undefined): void {
    const { batch, kvHeads, headSize, pageSize, pages } = this.#table;
    const formats = groups.map(({ precision }) => {
      if (precision === undefined) return 0;
      const format = this.#table.formatNumber(resolvePrecision('LayerCache.arrange: precision', precision));
      if (format === undefined)
        throw new ArgumentError('LayerCache.arrange: precision', precision, 'four precisions in a layer at most');
      return format;
    });
    const room = wantedRoom ?? Math.max(this.#capacity - Math.max(...this.#ends()), 0);
    const grouped = formats.some((format) => format > 0) || groups.length > 1;
    const places = groups.map(({ indices }) => ({ indices }));
    this.#gpu.tidy(() => {
      const taken = places.map((choice) => {
        const list = this.#resolve(choice);
        const count = choice.indices.shape[2] as number;
        const unpack = (rows: PagedRows) => unpackRows(rows, list).reshape([batch, kvHeads, count, headSize]);
        return { count, k: unpack(this.keys), v: unpack(this.values), positions: this.#positionsOf(list) };
      });
      // A group begins a page where another precision follows.
      const starts: number[] = [];
      let end = 0;
      for (const { count } of taken) {
        starts.push(end);
        end = grouped ? this.#wholePages(end + count) : end + count;
      }
      // What comes later is appended to a last group of full precision.
      const open = grouped && formats.at(-1) === 0 ? taken.length - 1 : taken.length;
      if (open < taken.length) end = (starts[open] as number) + (taken[open]?.count as number);
      this.#capacity = end + room;
      const needed = Math.ceil(this.#capacity / pageSize);
      for (let sequence = 0; sequence < batch; sequence++) this.#table.drop(sequence, 0);
      if (needed !== pages) this.#replaceTable(needed);
      const all = this.#gpu.tensor(
        new Uint32Array(batch * kvHeads * needed * pageSize).fill(noPosition),
        [batch, kvHeads, needed * pageSize],
        'u32',
      );
      for (const [group, { count, k, v, positions }] of taken.entries()) {
        const start = starts[group] as number;
        this.#makeWritable(new Array(batch).fill(start), new Array(batch).fill(count));
        writeRows({ kind: 'paged', store: this.#table, dtype: this.#dtype }, k, v, start);
        copyInto(all.slice(2, start, start + count), positions.reshape([batch, kvHeads, count]));
        this.#convertGroup(start, count, formats[group] as number);
      }
      this.#setPositions(all);
      this.#groups = grouped
        ? taken.slice(0, open).map(({ count }, group) => ({ start: starts[group] as number, count }))
        : [];
      this.#sequences = seen.map((since) => ({ rows: end, since, appended: 0 }));
      this.#pending = undefined;
    });
    this.#table.compact();
  }

  #convertGroup(start: number, count: number, format: number): void {
    if (format === 0) return;
    const { batch, pageSize } = this.#table;
    const first = start / pageSize;
    const places = Array.from({ length: batch }, (_, sequence) =>
      Array.from({ length: Math.ceil(count / pageSize) }, (__, page) => ({
        sequence,
        page: first + page,
        count: Math.min(pageSize, count - page * pageSize),
      })),
    ).flat();
    this.#table.convert(places, format);
  }

  #replaceTable(pages: number): void {
    const table = this.#table.fork(pages);
    this.#table.dispose();
    this.#table = table;
  }

  #resize(capacity: number): void {
    const { pageSize, pages, batch, kvHeads } = this.#table;
    this.#capacity = capacity;
    const needed = Math.ceil(capacity / pageSize);
    if (needed === pages) return;
    this.#replaceTable(needed);
    const old = this.#positions?.tensors.positions;
    if (!old) return;
    this.#gpu.tidy(() => {
      const all = this.#gpu.empty([batch, kvHeads, needed * pageSize], 'u32');
      const rows = Math.min(pages, needed) * pageSize;
      copyInto(all.slice(2, 0, rows), old.slice(2, 0, rows));
      this.#setPositions(all);
    });
  }

  /** From now on positions are kept; so far every row was one. */
  #trackPositions(): void {
    if (this.#positions) {
      if (this.#positions.shared) {
        const own = this.#positions.copy(this.#gpu);
        this.#positions.release();
        this.#positions = own;
      }
      return;
    }
    const { batch, kvHeads, pages, pageSize } = this.#table;
    this.#gpu.tidy(() => {
      const all = this.#gpu.empty([batch, kvHeads, pages * pageSize], 'u32');
      writePositions(all, this.#gpu.tensor(new Uint32Array(2 * batch), [batch, 2], 'u32'), pages * pageSize);
      this.#setPositions(all);
    });
  }

  #takePositions(saved: Tensor): void {
    const { batch, kvHeads, pages, pageSize } = this.#table;
    this.#gpu.tidy(() => {
      const all = this.#gpu.empty([batch, kvHeads, pages * pageSize], 'u32');
      copyInto(all.slice(2, 0, saved.shape[2] as number), saved);
      this.#setPositions(all);
    });
  }

  #setPositions(positions: Tensor): void {
    this.#positions?.release();
    this.#positions = new SharedTensors(this.#gpu, { positions });
  }
}
