import { add, concatenate, type Gpu, type Tensor, type TokenList, topK } from '@saccade/core';

/**
 * What a baseline has seen of a run: a score of every cached key, per layer and key/value head. Several runs may go on
 * from one of them (`fork`).
 */
export class KeyScores {
  readonly #gpu: Gpu;
  readonly #kvHeads: number;
  /** By layer: f32 [1, Hkv, M] over the rows of the cache. */
  readonly #scores = new Map<number, Tensor>();
  /** The newest positions of a step, which all layers share: u32 [1, Hkv, count]. */
  #newest: { readonly keyLength: number; readonly positions: Tensor } | undefined;

  constructor(gpu: Gpu, kvHeads: number) {
    this.#gpu = gpu;
    this.#kvHeads = kvHeads;
  }

  /** Replaces the scores of a layer. */
  set(layer: number, scores: Tensor): void {
    const kept = this.#gpu.keep(scores.alias());
    this.#scores.get(layer)?.dispose();
    this.#scores.set(layer, kept);
  }

  /** Adds to the scores of a layer. */
  add(layer: number, scores: Tensor): void {
    const known = this.#scores.get(layer);
    this.set(layer, known ? add(this.#padded(known, scores.shape[2] as number), scores) : scores);
  }

  /**
   * `count` tokens per key/value head: the `newest` last ones, and of the others those with the highest scores. Keys that
   * nobody scored count as 0.
   */
  list(layer: number, keyLength: number, count: number, newest: number): TokenList {
    const recent = this.#newestOf(keyLength, newest);
    if (count === newest) return { indices: recent, per: 'kvHead' };
    const known = this.#scores.get(layer) ?? this.#gpu.zeros([1, this.#kvHeads, keyLength]);
    const scores = this.#padded(known, keyLength);
    const best = topK(scores, count - newest, { lengths: keyLength - newest, order: 'index' }).indices;
    return { indices: concatenate([best, recent], 2), per: 'kvHead' };
  }

  fork(): KeyScores {
    const fork = new KeyScores(this.#gpu, this.#kvHeads);
    for (const [layer, scores] of this.#scores) fork.set(layer, scores);
    return fork;
  }

  dispose(): void {
    for (const scores of this.#scores.values()) scores.dispose();
    this.#scores.clear();
    this.#newest?.positions.dispose();
    this.#newest = undefined;
  }

  #newestOf(keyLength: number, count: number): Tensor {
    if (this.#newest?.keyLength !== keyLength || this.#newest.positions.shape[2] !== count) {
      const positions = Array.from({ length: count }, (_, at) => keyLength - count + at);
      const rows = Array.from({ length: this.#kvHeads }, () => positions).flat();
      this.#newest?.positions.dispose();
      const tensor = this.#gpu.keep(this.#gpu.tensor(rows, [1, this.#kvHeads, count], 'u32'));
      this.#newest = { keyLength, positions: tensor };
    }
    return this.#newest.positions;
  }

  /** Scores of at least `size` keys; a cache that grew has further ones. */
  #padded(scores: Tensor, size: number): Tensor {
    const missing = size - (scores.shape[2] as number);
    return missing <= 0 ? scores : concatenate([scores, this.#gpu.zeros([1, this.#kvHeads, missing])], 2);
  }
}
