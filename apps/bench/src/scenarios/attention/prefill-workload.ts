import {
  type AttentionOptions,
  attention,
  type BlockList,
  type Gpu,
  randomUniform,
  type Tensor,
  topK,
} from '@saccade/core';
import { countKeyRows } from '@saccade/core/testing';

const heads = 8;
const headSize = 64;

/** Floating-point operations of the two products of a dense call. */
export function denseFlops(length: number): number {
  return 4 * heads * length * length * headSize;
}

/** Queries and keys of a block. */
export const blockSize = 64;

/** Bidirectional self-attention of 8 heads of 64, dense or over blocks. */
export class PrefillWorkload {
  readonly #gpu: Gpu;
  readonly #length: number;
  readonly #seed: number;
  readonly #kept: Tensor[] = [];
  readonly #inputs: readonly [q: Tensor, k: Tensor, v: Tensor];

  constructor(gpu: Gpu, length: number, seed: number) {
    this.#gpu = gpu;
    this.#length = length;
    this.#seed = seed;
    const random = (stream: number) => this.#keep(randomUniform(gpu, [1, heads, length, headSize], { seed, stream }));
    this.#inputs = [random(0), random(1), random(2)];
  }

  /** Random distinct blocks in ascending order, for every head and block of queries; none for a density of 0. */
  lists(density: number): BlockList {
    const blocks = Math.ceil(this.#length / blockSize);
    const count = Math.round(density * blocks);
    const scores = () => randomUniform(this.#gpu, [heads * blocks, blocks], { seed: this.#seed, stream: 3 });
    const indices = this.#gpu.tidy(() =>
      topK(scores(), Math.max(count, 1), { order: 'index' }).indices.reshape([1, heads, blocks, Math.max(count, 1)]),
    );
    return { indices: this.#keep(indices), counts: count, queryBlock: blockSize, keyBlock: blockSize, per: 'kvHead' };
  }

  /** One call, waited for. */
  async run(blocks: BlockList | undefined): Promise<undefined> {
    this.#gpu.tidy(() => {
      this.#attention(blocks ? { blocks } : {});
    });
    await this.#gpu.synchronize();
    return undefined;
  }

  /** Key rows that the call loads, by the kernel's own count. */
  keyRows(blocks: BlockList | undefined): Promise<number> {
    return countKeyRows(this.#gpu, (keyRowCounter) =>
      this.#attention({ ...(blocks ? { blocks } : {}), keyRowCounter }),
    );
  }

  dispose(): void {
    for (const tensor of this.#kept) tensor.dispose();
  }

  #attention(options: AttentionOptions): void {
    const [q, k, v] = this.#inputs;
    attention(q, k, v, options);
  }

  #keep(tensor: Tensor): Tensor {
    this.#kept.push(this.#gpu.keep(tensor));
    return tensor;
  }
}
