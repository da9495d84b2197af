import type { Tensor } from '@saccade/core';
import type { Probes } from './importance.ts';
import type { CompressedRows } from './mixed-cache.ts';

/** Tokens that a pass chose among, until the cache is compressed between two steps. */
export interface PendingChoice {
  /** How many there are. */
  readonly tokens: number;
  /** u32 [tokens]; undefined: all are important. */
  readonly flags: Tensor | undefined;
  /** Tokens of the text up to the last of them. */
  readonly seen: number;
}

/** What one layer keeps. */
export interface ZipvlLayer {
  pending: PendingChoice | undefined;
  /** After the first compression. */
  rows: CompressedRows | undefined;
  /** Tokens of the text that were compressed. */
  compressed: number;
  /** Which tokens of the prompt were important, once that was read: ascending positions. */
  important: Uint32Array | undefined;
  /** Share of the prompt's tokens that were important, likewise. */
  ratio: number | undefined;
}

/** What one run of ZipVL keeps. */
export class ZipvlState {
  readonly #layers: ZipvlLayer[] = [];
  /** Of the prompt that runs. */
  probes: Probes | undefined;
  /** Times that choices were read back: one for the prompt, one for each compression later. */
  readbacks = 0;

  /** By global layer. */
  layer(globalLayer: number): ZipvlLayer {
    this.#layers[globalLayer] ??= {
      pending: undefined,
      rows: undefined,
      compressed: 0,
      important: undefined,
      ratio: undefined,
    };
    return this.#layers[globalLayer];
  }

  /** Those of all layers that have one. */
  get ratios(): readonly number[] {
    return this.#layers.flatMap(({ ratio }) => ratio ?? []);
  }

  dispose(): void {
    this.probes?.dispose();
    this.probes = undefined;
    for (const layer of this.#layers) {
      layer?.pending?.flags?.dispose();
      if (layer) layer.pending = undefined;
    }
  }
}
