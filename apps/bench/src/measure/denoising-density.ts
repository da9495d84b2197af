import type { AttentionOptions, Gpu, Mask, Method, Tensor } from '@saccade/core';
import { cast, sum } from '@saccade/core';

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
    const list = blocks ?? tokens;
    if (list) {
      const { counts, indices } = list;
      const [lists, width] = [indices.size / (indices.shape.at(-1) as number), indices.shape.at(-1) as number];
      // Keys of an entry, for all pairs of a query and a head that share the list.
      const each = blocks?.keyBlock ?? 1;
      const factor = (pairs / keyLength / lists) * each;
      if (typeof counts === 'object') {
        const tensor = gpu.keep(gpu.tidy(() => sum(cast(counts, 'f32'))));
        this.#counts.push({ tensor, factor });
      } else this.#read += Math.min(factor * lists * (counts ?? width), pairs);
      return;
    }
    const share = mask ? maskShare(mask, queryLength, keyLength) : 1;
    if (share === undefined) this.#known = false;
    else this.#read += share * pairs;
  }
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
