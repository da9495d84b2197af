import {
  type AttentionOptions,
  type BlockList,
  cast,
  type Gpu,
  type Mask,
  type Method,
  maximum,
  minimum,
  multiply,
  scale,
  subtract,
  sum,
  type Tensor,
} from '@saccade/core';
import { type HostMask, maskReference } from '@saccade/core/testing';

/**
 * Counts which share of the keys attention was asked to look at over all steps of a denoising run: every call of the engine, dense ones and
 * second ones in a step too. Where a mask tells its keys by nothing that is known here, or a method attends by itself, there is no density.
 */
export class DenoisingDensity {
  #read = 0;
  #all = 0;
  #known = true;
  #calls = 0;
  #counter: Tensor | undefined;
  readonly #counts: { readonly tensor: Tensor; readonly factor: number }[] = [];
  readonly #shares = new Map<string, number>();

  /** The method (or the dense run) between two parts of this meter: what a call has, and what the method leaves to look at. */
  around(method: Method | undefined): readonly Method[] {
    const given: Method = {
      name: 'density-given',
      options: {},
      phases: ['denoise'],
      attend: ({ gpu, queryLength, keyLength, batch }, { q }, next) => {
        this.#all += batch * (q.shape[1] as number) * queryLength * keyLength;
        const before = this.#calls;
        // Methods with attention of their own, tile by tile, leave counted calls to the engine, as the mask that they mean.
        this.#counter ??= gpu.keep(gpu.zeros([1], 'u32'));
        const result = next({ keyRowCounter: this.#counter });
        if (this.#calls === before) this.#known = false;
        return result;
      },
    };
    const left: Method = {
      name: 'density-left',
      options: {},
      phases: ['denoise'],
      attend: ({ gpu, queryLength, keyLength, batch }, { options, q }, next) => {
        this.#calls++;
        const pairs = batch * (q.shape[1] as number) * queryLength * keyLength;
        this.#count(gpu, options, { pairs, queryLength, keyLength });
        return next();
      },
    };
    return [given, ...(method ? [method] : []), left];
  }

  /** One readback where counts of lists stand on the device. */
  async density(gpu: Gpu): Promise<number | null> {
    this.#counter?.dispose();
    this.#counter = undefined;
    const read = await gpu.read(this.#counts.map(({ tensor }) => tensor));
    this.#counts.splice(0).forEach(({ tensor, factor }, index) => {
      this.#read += factor * (read[index]?.[0] as number);
      tensor.dispose();
    });
    return this.#known && this.#all > 0 ? this.#read / this.#all : null;
  }

  #count(
    gpu: Gpu,
    { tokens, blocks, mask }: AttentionOptions,
    {
      pairs,
      queryLength,
      keyLength,
    }: { readonly pairs: number; readonly queryLength: number; readonly keyLength: number },
  ): void {
    if (blocks) {
      const tensor = gpu.keep(gpu.tidy(() => pairsOfBlocks(gpu, blocks, queryLength, keyLength)));
      const [batches, heads] = blocks.indices.shape as [number, number];
      this.#counts.push({ tensor, factor: pairs / (queryLength * keyLength * batches * heads) });
      return;
    }
    if (tokens) {
      const { counts, indices } = tokens;
      const width = indices.shape.at(-1) as number;
      const lists = indices.size / width;
      // For all pairs of a query and a head that share the list.
      const factor = pairs / keyLength / lists;
      if (typeof counts === 'object') {
        const tensor = gpu.keep(gpu.tidy(() => sum(cast(counts, 'f32'))));
        this.#counts.push({ tensor, factor });
      } else this.#read += factor * lists * (counts ?? width);
      return;
    }
    const share = mask ? this.#maskShare(mask, queryLength, keyLength) : 1;
    if (share === undefined) this.#known = false;
    else this.#read += share * pairs;
  }

  /** Share of the pairs that a mask lets see, counted pair by pair, once per mask and size; undefined where a part of it stands on the device. */
  #maskShare(mask: Mask, queries: number, keys: number): number | undefined {
    if (!standsOnHost(mask)) return undefined;
    const name = `${queries} ${keys} ${JSON.stringify(mask)}`;
    const known = this.#shares.get(name);
    if (known !== undefined) return known;
    const sizes = { batches: 1, heads: 1, kvHeads: 1, queries };
    let count = 0;
    for (let query = 0; query < queries; query++) {
      for (let key = 0; key < keys; key++) {
        const pair = { batch: 0, head: 0, kvHead: 0, query, queryPosition: query, keyPosition: key };
        if (maskReference(mask, pair, key, sizes)) count++;
      }
    }
    this.#shares.set(name, count / (queries * keys));
    return count / (queries * keys);
  }
}

/** Pairs of a query and a key, f32 [1], over all lists: the last blocks of queries and of keys may be short. */
function pairsOfBlocks(gpu: Gpu, { indices, counts, ...size }: BlockList, queries: number, keys: number): Tensor {
  const [batches, heads, blocks, width] = indices.shape as [number, number, number, number];
  const numbers = (length: number, at: (index: number) => number) =>
    gpu.tensor(
      Float32Array.from({ length }, (_, index) => at(index)),
      [length],
    );
  const between = (x: Tensor, most: number) =>
    minimum(
      maximum(
        x,
        numbers(1, () => 0),
      ),
      numbers(1, () => most),
    );
  const inBlock = between(scale(cast(indices, 'f32'), -size.keyBlock, keys), size.keyBlock);
  const held =
    typeof counts === 'object'
      ? cast(counts, 'f32').reshape([batches, heads, blocks, 1])
      : numbers(1, () => counts ?? width);
  const counted = between(
    subtract(
      held,
      numbers(width, (entry) => entry),
    ),
    1,
  );
  const rows = numbers(blocks, (block) => Math.min(size.queryBlock, queries - block * size.queryBlock));
  return sum(multiply(multiply(inBlock, counted), rows.reshape([blocks, 1]))).reshape([1]);
}

/** Whether all of a mask is known without reading it back. */
function standsOnHost(mask: Mask): mask is Mask & HostMask {
  switch (mask.kind) {
    case 'prefix':
      return typeof mask.length === 'number';
    case 'anyOf':
    case 'allOf':
      return mask.parts.every(standsOnHost);
    case 'not':
      return standsOnHost(mask.part);
    case 'custom':
    case 'tokenRelation':
    case 'tokens':
    case 'blocks':
      return false;
    default:
      return true;
  }
}
