import {
  ArgumentError,
  type AttentionRestriction,
  blockListFromMask,
  type DenoisingStep,
  type Gpu,
  RefusedError,
  type TokenGrid,
} from '@saccade/core';
import type { CachedStatistics } from './kernels/cache-statistics.ts';
import type { ResolvedReTtentionOptions } from './options.ts';
import { attentionMask, maskOfGrid } from './static-mask.ts';

/** Which pass of a layer statistics belong to: sequences and passes of a step, such as branches of guidance, have their own. */
export interface CacheKey {
  readonly layer: number;
  readonly sequence: number;
  /** 0-based among the passes of the layer and sequence in one step. */
  readonly pass: number;
}

/** Statistics of one layer, and the step that gathered them. */
export interface LayerCache extends CachedStatistics, CacheKey {
  readonly step: number;
  /** How tokens lay then. */
  readonly grid: TokenGrid | undefined;
}

/** Where a sequence of a given size looks in sparse steps. */
interface Window {
  readonly name: string;
  readonly grid: TokenGrid | undefined;
  readonly restriction: AttentionRestriction;
}

/** Queries and keys of a block where the mask’s bounds cannot say which keys to skip. */
const block = 32;

const layoutOf = (grid: TokenGrid | undefined) => JSON.stringify(grid);

const nameOf = ({ layer, sequence, pass }: CacheKey) => `${layer} ${sequence} ${pass}`;

/** What one run of Re-ttention keeps: ratios and residuals of each layer. The first step of the next sample clears them. */
export class ReTtentionState {
  readonly #gpu: Gpu;
  readonly #options: ResolvedReTtentionOptions;
  readonly #caches = new Map<string, LayerCache>();
  readonly #passes = new Map<string, number>();
  #window: Window | undefined;
  #step = -1;
  /** The stage that is run, and its first step. */
  #stage = { stage: 0, first: 0 };

  constructor(gpu: Gpu, options: ResolvedReTtentionOptions) {
    this.#gpu = gpu;
    this.#options = options;
  }

  /** All that is cached now. */
  get caches(): readonly LayerCache[] {
    return [...this.#caches.values()];
  }

  /** Whether a step is the first of another stage than that of the sample's first step. */
  beginsStage({ index, stage }: Pick<DenoisingStep, 'index' | 'stage'>): boolean {
    return stage !== this.#stage.stage || (index > 0 && index === this.#stage.first);
  }

  /** Notes a layer's pass in a step. @throws ArgumentError for a step before the last one that is not the first of a sample */
  enter({ index, stage }: Pick<DenoisingStep, 'index' | 'stage'>, layer: number, sequence: number): CacheKey {
    if (index !== this.#step) {
      if (index === 0) this.reset();
      else if (index < this.#step) {
        throw new ArgumentError('re-ttention: step', index, `${this.#step} or a later one, or 0 for another sample`);
      }
      if (index === 0 || stage !== this.#stage.stage) this.#stage = { stage, first: index };
      this.#passes.clear();
      this.#step = index;
    }
    const pass = this.#passes.get(`${layer} ${sequence}`) ?? 0;
    this.#passes.set(`${layer} ${sequence}`, pass + 1);
    return { layer, sequence, pass };
  }

  /** Where sparse steps look; lists of blocks are made once per size and batch. */
  window(tokens: number, batches: number, grid: TokenGrid | undefined): AttentionRestriction {
    const name = `${tokens} ${batches} ${layoutOf(grid)}`;
    if (this.#window?.name === name) return this.#window.restriction;
    this.#releaseWindow();
    const kept = maskOfGrid(tokens, grid, this.#options);
    const mask = attentionMask(kept);
    if (kept.kind === 'window') this.#window = { name, grid, restriction: { mask } };
    else {
      const sizes = { batches, queries: tokens, keys: tokens, queryBlock: block, keyBlock: block };
      const blocks = blockListFromMask(this.#gpu, mask, sizes);
      this.#gpu.keep(blocks.indices);
      this.#gpu.keep(blocks.counts);
      this.#window = { name, grid, restriction: { mask, blocks } };
    }
    return this.#window.restriction;
  }

  store(key: CacheKey, statistics: CachedStatistics): void {
    this.#release(this.#caches.get(nameOf(key)));
    this.#gpu.keep(statistics.ratio);
    this.#gpu.keep(statistics.residual);
    this.#caches.set(nameOf(key), { ...key, ...statistics, step: this.#step, grid: this.#window?.grid });
  }

  /**
   * @param shape Of queries, [B, H, N, D].
   * @throws RefusedError before a caching step; ArgumentError where the shape was another one then, or tokens lay otherwise
   */
  find(key: CacheKey, shape: readonly number[]): LayerCache {
    const found = this.#caches.get(nameOf(key));
    if (!found) {
      throw new RefusedError(
        `re-ttention has gathered nothing of layer ${key.layer} (sequence ${key.sequence}, pass ${key.pass}) yet: run the sample from its first step.`,
      );
    }
    if (found.ratio.shape.some((size, axis) => size !== shape[axis])) {
      const given = shape.slice(0, 3);
      throw new ArgumentError('re-ttention: samples, heads and tokens', given, `${found.ratio.shape}, as gathered`);
    }
    const grid = this.#window?.grid;
    if (layoutOf(found.grid) !== layoutOf(grid))
      throw new ArgumentError('re-ttention: token grid', grid, `${layoutOf(found.grid)}, as gathered`);
    return found;
  }

  /** Forgets what was gathered. */
  reset(): void {
    for (const cache of this.#caches.values()) this.#release(cache);
    this.#caches.clear();
  }

  dispose(): void {
    this.reset();
    this.#releaseWindow();
  }

  #release(cache: LayerCache | undefined): void {
    cache?.ratio.dispose();
    cache?.residual.dispose();
  }

  #releaseWindow(): void {
    const blocks = this.#window?.restriction.blocks;
    blocks?.indices.dispose();
    if (blocks && typeof blocks.counts === 'object') blocks.counts.dispose();
    this.#window = undefined;
  }
}
