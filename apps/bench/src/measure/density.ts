import type { Method } from '@saccade/core';

/** Keys that attention was allowed to look at, and all that there were. */
interface Share {
  read: number;
  all: number;
}

/** Counts which share of the keys attention was allowed to look at over all decode steps, apart for layers of two kinds. */
export class DensityMeter {
  readonly #global: Share = { read: 0, all: 0 };
  readonly #window: Share = { read: 0, all: 0 };

  /** Of layers that reach over the whole context, on which methods act; null where nothing was decoded. */
  get density(): number | null {
    return shareOf(this.#global) ?? null;
  }

  /** Of layers that see a window, the whole context being what there is; undefined where the model has none. */
  get windowDensity(): number | undefined {
    return shareOf(this.#window);
  }

  /** Both, as fields of a row. */
  get densities(): { readonly density: number | null; readonly windowDensity?: number } {
    const { density, windowDensity } = this;
    return { density, ...(windowDensity === undefined ? {} : { windowDensity }) };
  }

  /** The method (or the dense run) with this meter behind it, where it sees what the method leaves to look at. */
  behind(method: Method | undefined): readonly Method[] {
    const meter: Method = {
      name: 'density-meter',
      options: {},
      phases: ['decode'],
      attend: ({ keyLength, seen, globalLayer }, { options }, next) => {
        const { tokens, blocks, slidingWindow = keyLength } = options;
        const list = tokens ?? blocks;
        const entries = typeof list?.counts === 'number' ? list.counts : list?.indices.shape.at(-1);
        const listed = entries === undefined ? keyLength : entries * (blocks?.keyBlock ?? 1);
        const share = globalLayer < 0 ? this.#window : this.#global;
        share.read += Math.min(keyLength, listed, slidingWindow);
        share.all += globalLayer < 0 ? seen : keyLength;
        return next();
      },
    };
    return method ? [method, meter] : [meter];
  }
}

function shareOf({ read, all }: Share): number | undefined {
  return all === 0 ? undefined : read / all;
}
