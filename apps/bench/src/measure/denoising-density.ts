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

/**
 * Counts which share of the keys attention was asked to look at over all steps of a denoising run: every call of the engine, dense ones and
 * second ones in a step too. Where a part of a mask tells its keys by no count that is known here, there is no density.
 */
export class DenoisingDensity {
  #read = 0;
  #all = 0;
  #known = true;
  readonly #counts: { readonly tensor: Tensor; readonly factor: number }[] = [];

  /** The method (or the dense run) with this meter behind it, where it sees what the method leaves to look at. */
  behind(method: Method | undefined): readonly Method[] {
    const seen = new Set<string>();
    const meter: Method = {
      name: 'density-meter',
      options: {},
      phases: ['denoise'],
      attend: ({ gpu, step, layer, sequence, queryLength, keyLength, batch }, { options, q }, next) => {
        const pairs = batch * (q.shape[1] as number) * queryLength * keyLength;
        // A step has as many keys as its one call would read; a second call in it reads besides.
        const place = `${step?.index}/${layer}/${sequence}`;
        if (!seen.has(place)) this.#all += pairs;
        seen.add(place);
        this.#count(gpu, options, { pairs, queryLength, keyLength });
        return next();
      },
    };
    return method ? [method, meter] : [meter];
  }

  /** One readback where counts of lists stand on the device. */
  async density(gpu: Gpu): Promise<number | null> {
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
    const share = mask ? maskShare(mask, queryLength, keyLength) : 1;
    if (share === undefined) this.#known = false;
    else this.#read += share * pairs;
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

/** Share of the pairs that a mask lets see, counted pair by pair; undefined for masks whose parts stand on the device. */
function maskShare(mask: Mask, queries: number, keys: number): number | undefined {
  const sees = predicate(mask);
  if (!sees) return undefined;
  let count = 0;
  for (let query = 0; query < queries; query++) for (let key = 0; key < keys; key++) if (sees(query, key)) count++;
  return count / (queries * keys);
}

type Predicate = (query: number, key: number) => boolean;

function predicate(mask: Mask): Predicate | undefined {
  switch (mask.kind) {
    case 'slidingWindow': {
      const { before, after, dilation = 1 } = mask;
      return (query, key) => query - key <= before && key - query <= after && (query - key) % dilation === 0;
    }
    case 'strided':
      return (_, key) => key % mask.stride === (mask.offset ?? 0);
    case 'keyRange':
      return (_, key) => key >= mask.start && key < mask.end;
    case 'prefix': {
      const { length } = mask;
      return typeof length === 'number' ? (_, key) => key < length : undefined;
    }
    case 'anyOf':
    case 'allOf': {
      const parts = mask.parts.map(predicate);
      if (!parts.every((part) => part !== undefined)) return undefined;
      return mask.kind === 'anyOf'
        ? (query, key) => parts.some((part) => part?.(query, key))
        : (query, key) => parts.every((part) => part?.(query, key));
    }
    case 'not': {
      const part = predicate(mask.part);
      return part && ((query, key) => !part(query, key));
    }
    default:
      return undefined;
  }
}
