import { blockLayout, type PageFormat } from '../../attention/paged/page-format.ts';
import type { PageStore } from '../../attention/paged/paged-rows.ts';
import type { Gpu } from '../../device/gpu.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { convertPages } from './convert-pages.ts';
import { PageArena, type PageBlock } from './page-arena.ts';

/** A page of all heads of one sequence: its block holds one head behind the other. */
interface Page {
  /** Number of its format among the layer's; 0 is full precision. */
  readonly format: number;
  readonly block: PageBlock;
  /** What another fork made of this page, which this one may share. */
  packed?: Page;
}

/** Sizes of a layer's pages. */
export interface PageTableSizes {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly pageSize: number;
  /** Most pages of a sequence. */
  readonly pages: number;
}

/** A page of a sequence, by number. */
export interface PagePlace {
  readonly sequence: number;
  readonly page: number;
}

/** Which pages the sequences of a layer have, and where they stand. Forks share pages until one of them writes. */
export class PageTable implements PageStore {
  readonly gpu: Gpu;
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly pageSize: number;
  readonly pages: number;
  /** One list for all forks, since they share pages. */
  readonly #formats: PageFormat[];
  readonly #arena: PageArena;
  readonly #block: PageBlock;
  readonly #sequences: Page[][];
  /** Version of the arena that the table on the device was written for; none where pages have changed since. */
  #written: number | undefined;

  static create(gpu: Gpu, sizes: PageTableSizes, formats: readonly PageFormat[]): PageTable {
    return new PageTable(new PageArena(gpu, tableWords(sizes)), sizes, [...formats]);
  }

  private constructor(arena: PageArena, sizes: PageTableSizes, formats: PageFormat[], from?: PageTable) {
    this.gpu = arena.gpu;
    this.batch = sizes.batch;
    this.kvHeads = sizes.kvHeads;
    this.headSize = sizes.headSize;
    this.pageSize = sizes.pageSize;
    this.pages = sizes.pages;
    this.#formats = formats;
    this.#arena = arena;
    this.#block = arena.allocate(tableWords(sizes));
    this.#sequences = Array.from({ length: sizes.batch }, (_, sequence) => [...(from ? from.#pagesOf(sequence) : [])]);
    for (const page of this.#sequences.flat()) page.block.owners++;
  }

  /** Full precision first. */
  get formats(): readonly PageFormat[] {
    return this.#formats;
  }

  /** GPU bytes; what forks share counts for each. */
  get bytes(): number {
    return this.#arena.bytes;
  }

  words(): { readonly buffer: Tensor; readonly table: number } {
    if (this.#written !== this.#arena.version) this.#write();
    return { buffer: this.#arena.words, table: this.#block.offset };
  }

  /** How many pages a sequence has. */
  count(sequence: number): number {
    return this.#pagesOf(sequence).length;
  }

  formatOf({ sequence, page }: PagePlace): number {
    return (this.#pagesOf(sequence)[page] as Page).format;
  }

  /** The number of a format, which the layer has from now on; four are the most. Undefined where there is no room for it. */
  formatNumber(format: PageFormat): number | undefined {
    const text = JSON.stringify(format);
    const known = this.#formats.findIndex((each) => JSON.stringify(each) === text);
    if (known >= 0) return known;
    if (this.#formats.length === 4) return undefined;
    this.#formats.push(format);
    return this.#formats.length - 1;
  }

  /**
   * Makes pages [from, to) of sequences such that rows can be written: there, in full precision, and nobody else's. New ones
   * hold anything.
   */
  makeWritable(ranges: readonly { readonly sequence: number; readonly from: number; readonly to: number }[]): void {
    const stale: PagePlace[] = [];
    let missing = 0;
    for (const { sequence, from, to } of ranges) {
      const pages = this.#pagesOf(sequence);
      missing += Math.max(to - pages.length, 0);
      for (let page = from; page < Math.min(to, pages.length); page++) {
        const own = pages[page] as Page;
        if (own.format !== 0 || own.block.owners > 1) stale.push({ sequence, page });
        // What was made of it is not what will stand here.
        else delete own.packed;
      }
    }
    this.convert(
      stale.map((place) => ({ ...place, count: this.pageSize })),
      0,
    );
    if (missing === 0) return;
    const words = this.#blockWords(0);
    this.#arena.reserve(missing * words);
    for (const { sequence, to } of ranges) {
      const pages = this.#pagesOf(sequence);
      while (pages.length < to) pages.push({ format: 0, block: this.#arena.allocate(words) });
    }
    this.#written = undefined;
  }

  /** Rewrites pages in the format `target`, into blocks of their own. Rows from `count` on become zeros. */
  convert(places: readonly (PagePlace & { readonly count: number })[], target: number): void {
    const rest = places.filter((place) => target === 0 || !this.#takeOver(place, target));
    if (rest.length === 0) return;
    const words = this.#blockWords(target);
    this.#arena.reserve(rest.length * words);
    const moved = rest.map((place) => {
      const page: Page = { format: target, block: this.#arena.allocate(words) };
      return { place, old: this.#pagesOf(place.sequence)[place.page] as Page, page };
    });
    convertPages(
      this.gpu,
      this.#arena.words,
      this,
      target,
      moved.map(({ place, old, page }) => ({
        source: { offset: old.block.offset, format: old.format },
        target: page.block.offset,
        count: place.count,
      })),
    );
    for (const { place, old, page } of moved) {
      if (target > 0 && old.block.owners > 1) old.packed = page;
      this.#put(place, page);
    }
  }

  /** Forgets the pages of a sequence from `page` on. */
  drop(sequence: number, page: number): void {
    const pages = this.#pagesOf(sequence);
    for (const { block } of pages.splice(page)) this.#arena.release(block);
  }

  /** Gives back memory that lies idle; what a few pages in full precision take may stay. */
  compact(): void {
    this.#arena.compact(2 * this.batch * this.#blockWords(0));
  }

  /** The same pages, shared, with room for another number of them. */
  fork(pages = this.pages): PageTable {
    return new PageTable(this.#arena.hold(), { ...this.#sizes, pages }, this.#formats, this);
  }

  /** The blocks of all pages, one behind the other, u32; rows from `rows[b]` on are zeros in full pages. The caller's scope owns it. */
  pack(rows: readonly number[]): Tensor {
    const places = this.#sequences.flatMap((pages, sequence) =>
      pages.map((_, page) => ({ sequence, page, count: (rows[sequence] as number) - page * this.pageSize })),
    );
    // A page that is not full may hold anything behind its rows.
    const open = places.filter((place) => place.count < this.pageSize && this.formatOf(place) === 0);
    const clean = this.fork();
    try {
      clean.convert(open, 0);
      const all = clean.#sequences.flat();
      const total = all.reduce((sum, { block }) => sum + block.words, 0);
      const packed = this.gpu.empty([total], 'u32');
      const [from, to] = [this.gpu.range(clean.#arena.words, 'cache'), this.gpu.range(packed, 'cache')];
      let end = 0;
      for (const { block } of all) {
        this.gpu.copyBytes(
          { ...from, offset: from.offset + 4 * block.offset },
          { ...to, offset: to.offset + 4 * end },
          4 * block.words,
        );
        end += block.words;
      }
      return packed;
    } finally {
      clean.dispose();
    }
  }

  /** Appends pages of the given formats to a sequence from words as {@link pack} gives them; returns how many words they take. */
  unpack(sequence: number, formats: readonly number[], words: Tensor, start: number): number {
    const lengths = formats.map((format) => this.#blockWords(format));
    this.#arena.reserve(lengths.reduce((sum, length) => sum + length, 0));
    const from = this.gpu.range(words, 'cache');
    let end = start;
    for (const [index, length] of lengths.entries()) {
      const block = this.#arena.allocate(length);
      const to = this.gpu.range(this.#arena.words, 'cache');
      const source = { ...from, offset: from.offset + 4 * end };
      this.gpu.copyBytes(source, { ...to, offset: to.offset + 4 * block.offset }, 4 * length);
      this.#pagesOf(sequence).push({ format: formats[index] as number, block });
      end += length;
    }
    this.#written = undefined;
    return end - start;
  }

  /** Copies the pages of a sequence of another layer of the same formats behind those of `sequence`. */
  copy(sequence: number, other: PageTable, from: number): void {
    const pages = other.#pagesOf(from);
    this.#arena.reserve(pages.reduce((sum, { block }) => sum + block.words, 0));
    for (const { format, block: old } of pages) {
      const block = this.#arena.allocate(old.words);
      const source = this.gpu.range(other.#arena.words, 'cache');
      const target = this.gpu.range(this.#arena.words, 'cache');
      this.gpu.copyBytes(
        { ...source, offset: source.offset + 4 * old.offset },
        { ...target, offset: target.offset + 4 * block.offset },
        4 * old.words,
      );
      this.#pagesOf(sequence).push({ format, block });
    }
    this.#written = undefined;
  }

  dispose(): void {
    for (const { block } of this.#sequences.flat()) this.#arena.release(block);
    this.#arena.release(this.#block);
    this.#arena.letGo();
  }

  get #sizes(): PageTableSizes {
    const { batch, kvHeads, headSize, pageSize, pages } = this;
    return { batch, kvHeads, headSize, pageSize, pages };
  }

  /** Words of a page of all heads. */
  #blockWords(format: number): number {
    return this.kvHeads * this.#headWords(format);
  }

  #headWords(format: number): number {
    return blockLayout(this.#formats[format] as PageFormat, this).words;
  }

  /** Shares what another fork has made of a page. */
  #takeOver(place: PagePlace, target: number): boolean {
    const { packed } = this.#pagesOf(place.sequence)[place.page] as Page;
    if (!packed || packed.format !== target || packed.block.owners === 0) return false;
    packed.block.owners++;
    this.#put(place, packed);
    return true;
  }

  #put({ sequence, page }: PagePlace, replacement: Page): void {
    const pages = this.#pagesOf(sequence);
    this.#arena.release((pages[page] as Page).block);
    pages[page] = replacement;
    this.#written = undefined;
  }

  #pagesOf(sequence: number): Page[] {
    return this.#sequences[sequence] as Page[];
  }

  #write(): void {
    const table = new Uint32Array(tableWords(this));
    for (const [sequence, pages] of this.#sequences.entries()) {
      for (const [page, { format, block }] of pages.entries()) {
        const words = this.#headWords(format);
        for (let head = 0; head < this.kvHeads; head++) {
          table[(sequence * this.kvHeads + head) * this.pages + page] = block.offset + head * words + format;
        }
      }
    }
    this.gpu.tidy(() => {
      const source = this.gpu.range(this.gpu.tensor(table, [table.length], 'u32'), 'cache');
      const target = this.gpu.range(this.#arena.words, 'cache');
      this.gpu.copyBytes(source, { ...target, offset: target.offset + 4 * this.#block.offset }, table.byteLength);
    });
    this.#written = this.#arena.version;
  }
}

/** Words of the table [B, Hkv, pages]; whole quads, as blocks are. */
function tableWords({ batch, kvHeads, pages }: Pick<PageTableSizes, 'batch' | 'kvHeads' | 'pages'>): number {
  return Math.ceil((batch * kvHeads * pages) / 4) * 4;
}
