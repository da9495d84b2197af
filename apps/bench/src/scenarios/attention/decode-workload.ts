import { attention, type Gpu, randomUniform, type Tensor, type TokenList, topK } from '@saccade/core';

/** SmolLM2-135M's attention. */
export const shape = { layers: 30, heads: 9, kvHeads: 3, headSize: 64 } as const;

/** Bytes of keys and values that a dense step over `length` tokens reads. */
export function denseBytes(length: number): number {
  return 2 * 4 * shape.layers * shape.kvHeads * length * shape.headSize;
}

/** Floating-point operations of a dense step. */
export function denseFlops(length: number): number {
  return 4 * shape.layers * shape.heads * length * shape.headSize;
}

interface LayerTensors {
  readonly q: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Tensors of one decode step over all layers: every layer has a cache of its own, as in a model. */
export class DecodeWorkload {
  readonly #gpu: Gpu;
  readonly #length: number;
  readonly #tensors: Tensor[] = [];
  readonly #layers: LayerTensors[] = [];
  readonly #seed: number;

  constructor(gpu: Gpu, length: number, seed: number, layers: number = shape.layers) {
    this.#gpu = gpu;
    this.#length = length;
    this.#seed = seed;
    const { heads, kvHeads, headSize } = shape;
    for (let layer = 0; layer < layers; layer++) {
      this.#layers.push({
        q: this.#random([1, heads, 1, headSize]),
        keys: this.#random([1, kvHeads, length, headSize]),
        values: this.#random([1, kvHeads, length, headSize]),
      });
    }
  }

  /** Random distinct tokens in ascending order, one set of lists per layer. */
  lists(per: TokenList['per'], count: number): TokenList[] {
    const rows = per === 'queryHead' ? shape.heads : shape.kvHeads;
    return this.#layers.map((_, layer) => {
      const indices = this.#gpu.tidy(
        () =>
          topK(randomUniform(this.#gpu, [1, rows, this.#length], { seed: this.#seed, stream: 1000 + layer }), count, {
            order: 'index',
          }).indices,
      );
      this.#tensors.push(this.#gpu.keep(indices));
      return { indices, per };
    });
  }

  /** Lists of `count` places that hold no token: what a call costs that reads no key. */
  emptyLists(count: number): TokenList[] {
    return this.#layers.map(() => {
      const [indices, counts] = [[count], []].map((size) =>
        this.#gpu.keep(this.#gpu.zeros([1, shape.kvHeads, ...size], 'u32')),
      ) as [Tensor, Tensor];
      this.#tensors.push(indices, counts);
      return { indices, counts, per: 'kvHead' };
    });
  }

  /** Share of the cache's rows that one call of the first layer loads, by the kernel's own count. */
  async density(tokens?: TokenList): Promise<number> {
    const { q, keys, values } = this.#layers[0] as LayerTensors;
    const counter = this.#gpu.tidy(() => {
      const keyRowCounter = this.#gpu.zeros([1], 'u32');
      attention(q, keys, values, { keyLength: this.#length, keyRowCounter, ...(tokens ? { tokens } : {}) });
      return keyRowCounter;
    });
    const [rows] = await counter.read();
    counter.dispose();
    return (rows as number) / (shape.kvHeads * this.#length);
  }

  /** One decode step: a dispatch (or two) per layer, one submission, one wait. */
  async run(lists?: readonly TokenList[]): Promise<undefined> {
    this.#gpu.tidy(() => {
      for (const [index, { q, keys, values }] of this.#layers.entries()) {
        const tokens = lists?.[index];
        attention(q, keys, values, { keyLength: this.#length, ...(tokens ? { tokens } : {}) });
      }
    });
    await this.#gpu.synchronize();
    return undefined;
  }

  /** Output of the first layer, for checking a variant against another. */
  output(tokens?: TokenList): Tensor {
    const { q, keys, values } = this.#layers[0] as LayerTensors;
    return attention(q, keys, values, { keyLength: this.#length, ...(tokens ? { tokens } : {}) }).output;
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }

  #random(size: readonly number[]): Tensor {
    const tensor = this.#gpu.keep(randomUniform(this.#gpu, size, { seed: this.#seed, stream: this.#tensors.length }));
    this.#tensors.push(tensor);
    return tensor;
  }
}
