/** How alike the layers' own selections are: the ground on which methods stand that hand selections on. */
export interface LayerOverlap {
  /** Global layers, L. */
  readonly layers: number;
  readonly topK: number;
  /** Pairs of sets that were compared for each pair of layers: decode steps times sets of a layer. */
  readonly samples: number;
  /** [L, L] row-major: mean of |S_i ∩ S_j| / k, where S_l is a top-k set of layer l. */
  readonly overlap: Float32Array;
}

/** Gathers the overlaps of the layers' sets, decode step by decode step. */
export class OverlapSums {
  readonly layers: number;
  readonly topK: number;
  readonly #sums: Float64Array;
  #samples = 0;

  constructor(layers: number, topK: number) {
    this.layers = layers;
    this.topK = topK;
    this.#sums = new Float64Array(layers * layers);
  }

  /** @param perLayer Sets of each global layer in one decode step, [sets, k] each. */
  add(perLayer: readonly Uint32Array[]): void {
    const { layers, topK } = this;
    const count = (perLayer[0]?.length ?? 0) / topK;
    for (let set = 0; set < count; set++) {
      const members = perLayer.map((indices) => new Set(indices.subarray(set * topK, (set + 1) * topK)));
      members.forEach((own, i) => {
        members.forEach((other, j) => {
          let common = 0;
          for (const position of own) if (other.has(position)) common++;
          this.#sums[i * layers + j] = (this.#sums[i * layers + j] as number) + common / topK;
        });
      });
    }
    this.#samples += count;
  }

  result(): LayerOverlap {
    const samples = this.#samples;
    const overlap = Float32Array.from(this.#sums, (sum) => sum / samples);
    return { layers: this.layers, topK: this.topK, samples, overlap };
  }
}
