import type { Gpu, Tensor } from '@saccade/core';
import type { GiftLayers } from './layers.ts';
import { Saliency } from './saliency.ts';

/** What a run finds in its prompt and keeps. */
export class GiftState {
  readonly layers: GiftLayers;
  readonly saliency: Saliency;
  /** u32 [N]: what each token of the prompt is, see `enhanceRow`. */
  roles: Tensor | undefined;
  /** By query: u32 [H, 3], which rows are given. */
  readonly #rows = new Map<number, Tensor>();

  constructor(layers: GiftLayers) {
    this.layers = layers;
    this.saliency = new Saliency(layers.saliency.length);
  }

  /** f32 [T]: the factors on image tokens, once the prompt was seen. */
  get multipliers(): Tensor | undefined {
    return this.saliency.multipliers;
  }

  /** u32 [H, 3]: all heads of one query. */
  rowsOf(gpu: Gpu, heads: number, query: number): Tensor {
    const held = this.#rows.get(query);
    if (held) return held;
    const numbers = Uint32Array.from({ length: 3 * heads }, (_, index) =>
      index % 3 === 1 ? Math.floor(index / 3) : index % 3 === 2 ? query : 0,
    );
    const rows = gpu.keep(gpu.tensor(numbers, [heads, 3], 'u32'));
    this.#rows.set(query, rows);
    return rows;
  }

  dispose(): void {
    this.saliency.dispose();
    this.roles?.dispose();
    for (const rows of this.#rows.values()) rows.dispose();
  }
}
