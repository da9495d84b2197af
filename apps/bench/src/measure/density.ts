import type { Method } from '@saccade/core';

/** Counts which share of the keys attention was allowed to look at, over all layers and decode steps. */
export class DensityMeter {
  #read = 0;
  #all = 0;

  /** Share of the keys read in decode steps so far; null where there was none. */
  get density(): number | null {
    return this.#all === 0 ? null : this.#read / this.#all;
  }

  /** The method (or the dense run) with this meter behind it, where it sees what the method leaves to look at. */
  behind(method: Method | undefined): readonly Method[] {
    const meter: Method = {
      name: 'density-meter',
      options: {},
      phases: ['decode'],
      attend: ({ keyLength }, { options }, next) => {
        const { tokens, blocks, slidingWindow = keyLength } = options;
        const list = tokens ?? blocks;
        const entries = typeof list?.counts === 'number' ? list.counts : list?.indices.shape.at(-1);
        const listed = entries === undefined ? keyLength : entries * (blocks?.keyBlock ?? 1);
        this.#read += Math.min(keyLength, listed, slidingWindow);
        this.#all += keyLength;
        return next();
      },
    };
    return method ? [method, meter] : [meter];
  }
}
