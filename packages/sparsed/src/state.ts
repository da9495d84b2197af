import { ArgumentError, type Gpu, RefusedError } from '@saccade/core';
import type { BlockPattern } from './select-blocks.ts';

/** Which pass of a layer a pattern belongs to: sequences and passes of a step, such as branches of guidance, have their own. */
export interface PatternKey {
  readonly layer: number;
  readonly sequence: number;
  /** 0-based among the passes of the layer and sequence in one step. */
  readonly pass: number;
}

interface StoredPattern extends PatternKey {
  readonly blocks: BlockPattern;
  /** Of the queries that they were chosen by: samples, heads, tokens. */
  readonly shape: readonly number[];
}

const nameOf = ({ layer, sequence, pass }: PatternKey) => `${layer} ${sequence} ${pass}`;

/** What one run of SparseD keeps: the patterns of a generation. The first step of the next one clears them. */
export class SparseDState {
  readonly #gpu: Gpu;
  readonly #patterns = new Map<string, StoredPattern>();
  readonly #passes = new Map<string, number>();
  #step = -1;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** All patterns, in the order in which they were chosen. */
  get patterns(): readonly (PatternKey & { readonly blocks: BlockPattern })[] {
    return [...this.#patterns.values()];
  }

  /** Notes a layer's pass in a step. @throws ArgumentError for a step before the last one that is not the first of a generation */
  enter(step: number, layer: number, sequence: number): PatternKey {
    if (step !== this.#step) {
      if (step === 0) this.reset();
      else if (step < this.#step) {
        throw new ArgumentError('sparsed: step', step, `${this.#step} or a later one, or 0 for another generation`);
      }
      this.#passes.clear();
      this.#step = step;
    }
    const pass = this.#passes.get(`${layer} ${sequence}`) ?? 0;
    this.#passes.set(`${layer} ${sequence}`, pass + 1);
    return { layer, sequence, pass };
  }

  /** @param shape Of queries, [B, H, N, D]. */
  store(key: PatternKey, blocks: BlockPattern, shape: readonly number[]): void {
    this.#release(this.#patterns.get(nameOf(key)));
    this.#gpu.keep(blocks.indices);
    this.#gpu.keep(blocks.counts);
    this.#patterns.set(nameOf(key), { ...key, blocks, shape: shape.slice(0, 3) });
  }

  /**
   * @param shape Of queries, [B, H, N, D].
   * @throws RefusedError before the pattern was chosen; ArgumentError where the shape was another one then
   */
  find(key: PatternKey, shape: readonly number[]): BlockPattern {
    const found = this.#patterns.get(nameOf(key));
    if (!found) {
      throw new RefusedError(
        `sparsed has no blocks for layer ${key.layer} (sequence ${key.sequence}, pass ${key.pass}) yet: run the generation from its first step.`,
      );
    }
    if (found.shape.some((size, axis) => size !== shape[axis])) {
      const given = shape.slice(0, 3);
      throw new ArgumentError(
        'sparsed: samples, heads and tokens',
        given,
        `${found.shape}, for which blocks were chosen`,
      );
    }
    return found.blocks;
  }

  /** Forgets all patterns. */
  reset(): void {
    for (const pattern of this.#patterns.values()) this.#release(pattern);
    this.#patterns.clear();
  }

  dispose(): void {
    this.reset();
  }

  #release(pattern: StoredPattern | undefined): void {
    pattern?.blocks.indices.dispose();
    pattern?.blocks.counts.dispose();
  }
}
