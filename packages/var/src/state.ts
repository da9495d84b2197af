import type { KeySets, Tensor } from '@saccade/core';

/** What a run finds in its prompt and keeps. */
export interface VarState {
  /** The dimensions that tell sinks. */
  readonly dimensions: readonly number[];
  readonly threshold: number;
  /** By layer: how much of a sink each token of the prompt is, f32 [N]; undefined in layers that stay as they are. */
  readonly scores: (Tensor | undefined)[];
  /** Positions of the prompt's sinks in a layer, ascending. Reads them back. */
  sinks(layer: number): Promise<number[]>;
  /** u32 [N]: 1 for tokens that hold an image. */
  image: Tensor | undefined;
  /** By layer: rows of its cache by set, for a cache of that size. */
  readonly sets: ({ readonly rows: number; readonly keySets: KeySets } | undefined)[];
  dispose(): void;
}

/** A state that has seen nothing. */
export function emptyState(dimensions: readonly number[], threshold: number): VarState {
  return {
    dimensions,
    threshold,
    scores: [],
    image: undefined,
    sets: [],
    async sinks(layer) {
      const scores = await this.scores[layer]?.read();
      return Array.from(scores ?? []).flatMap((score, position) => (score > threshold ? [position] : []));
    },
    dispose() {
      for (const scores of this.scores) scores?.dispose();
      for (const entry of this.sets) if (entry) disposeKeySets(entry.keySets);
      this.image?.dispose();
    },
  };
}

/** Frees what {@link KeySets} hold. */
export function disposeKeySets({ ids, sortedIds, order }: KeySets): void {
  for (const tensor of [ids, sortedIds, order]) tensor.dispose();
}
