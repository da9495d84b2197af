import type { Gpu } from '../../device/gpu.ts';
import { LimitError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** A run of words that several forks may hold until one of them writes. */
export interface PageBlock {
  offset: number;
  readonly words: number;
  owners: number;
}

/** Part of what is used that is added when the buffer grows, so that growing stays rare. */
const slack = 1 / 8;

/**
 * The buffer of one layer's pages and page tables, shared by its forks: runs of 32-bit words, given out where the first gap is
 * large enough. It grows by moving into a larger buffer, which keeps offsets, and is compacted where much lies idle, which does not: `version`
 * says so.
 */
export class PageArena {
  readonly gpu: Gpu;
  /** Changes whenever blocks move. */
  version = 0;
  #words: Tensor;
  /** Ascending by offset. */
  #blocks: PageBlock[] = [];
  #used = 0;
  #holders = 1;

  constructor(gpu: Gpu, words: number) {
    this.gpu = gpu;
    this.#words = this.#buffer(words);
  }

  /** u32 [words] */
  get words(): Tensor {
    return this.#words;
  }

  get bytes(): number {
    return this.gpu.bytesOf(this.#words);
  }

  /** A further layer that gives out blocks of it. */
  hold(): this {
    this.#holders++;
    return this;
  }

  /** A layer is done with it. */
  letGo(): void {
    this.#holders--;
    if (this.#holders === 0) this.#words.dispose();
  }

  /** Makes sure that so many words fit behind all blocks. @throws LimitError */
  reserve(words: number): void {
    const end = this.#end + words;
    if (end <= this.#words.size) return;
    this.#move(Math.max(end, Math.ceil((this.#used + words) * (1 + slack))));
  }

  /** A block in the first gap that holds it. @throws LimitError */
  allocate(words: number): PageBlock {
    let offset = 0;
    let at = 0;
    for (; at < this.#blocks.length; at++) {
      const next = this.#blocks[at] as PageBlock;
      if (next.offset - offset >= words) break;
      offset = next.offset + next.words;
    }
    if (at === this.#blocks.length) this.reserve(words);
    const block = { offset, words, owners: 1 };
    this.#blocks.splice(at, 0, block);
    this.#used += words;
    return block;
  }

  release(block: PageBlock): void {
    block.owners--;
    if (block.owners > 0) return;
    this.#blocks.splice(this.#blocks.indexOf(block), 1);
    this.#used -= block.words;
  }

  /** Moves all blocks together where more than `spare` words and a quarter of what is used lie idle. */
  compact(spare: number): void {
    const idle = this.#words.size - this.#used;
    if (idle <= spare || idle <= this.#used / 4) return;
    const old = this.gpu.range(this.#words, 'cache');
    const words = this.#buffer(Math.ceil(this.#used * (1 + slack / 2)));
    const target = this.gpu.range(words, 'cache');
    let end = 0;
    for (const block of this.#blocks) {
      this.gpu.copyBytes(
        { ...old, offset: old.offset + 4 * block.offset },
        { ...target, offset: target.offset + 4 * end },
        4 * block.words,
      );
      block.offset = end;
      end += block.words;
    }
    this.#replace(words);
    this.version++;
  }

  get #end(): number {
    const last = this.#blocks.at(-1);
    return last ? last.offset + last.words : 0;
  }

  #move(size: number): void {
    const words = this.#buffer(size);
    this.gpu.copyBytes(this.gpu.range(this.#words, 'cache'), this.gpu.range(words, 'cache'), 4 * this.#end);
    this.#replace(words);
  }

  #replace(words: Tensor): void {
    this.#words.dispose();
    this.#words = words;
  }

  #buffer(words: number): Tensor {
    const { maxStorageBinding } = this.gpu.capabilities;
    if (4 * words > maxStorageBinding) {
      throw new LimitError("KvCache: one layer's pages", 4 * words, 'maxStorageBufferBindingSize', maxStorageBinding);
    }
    return this.gpu.keep(this.gpu.empty([Math.max(words, 4)], 'u32'));
  }
}
