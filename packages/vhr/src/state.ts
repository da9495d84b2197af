import type { Tensor } from '@saccade/core';

/** What a run chose in its prompt and keeps. */
export interface VhrState {
  /** Layers that are reinforced, ascending. */
  readonly layers: readonly number[];
  /** By layer: the factor of each head's output, f32 [H]; undefined where nothing is reinforced. */
  readonly factors: (Tensor | undefined)[];
  /** By layer: the divergence of each head before outliers were removed, f32 [H]. */
  readonly divergences: (Tensor | undefined)[];
  /** Heads that a layer reinforces, ascending. Reads them back. */
  heads(layer: number): Promise<number[]>;
  dispose(): void;
}

/** A state that has seen nothing. */
export function emptyState(layers: readonly number[]): VhrState {
  return {
    layers,
    factors: [],
    divergences: [],
    async heads(layer) {
      const factors = await this.factors[layer]?.read();
      return Array.from(factors ?? []).flatMap((factor, head) => (factor === 1 ? [] : [head]));
    },
    dispose() {
      for (const tensor of [...this.factors, ...this.divergences]) tensor?.dispose();
    },
  };
}
