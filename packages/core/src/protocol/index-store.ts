import type { TokenList } from '../attention/types.ts';
import type { Gpu } from '../device/gpu.ts';
import { SaccadeError } from '../errors.ts';

/** Nothing was stored for the layer that asks: it runs before the layer that selects. */
export class NoSelectionError extends SaccadeError {
  constructor(layer: number) {
    super('no-selection', `Layer ${layer} asks for a token list, but no earlier layer of this pass stored one.`);
  }
}

/** Token lists that layers of one pass hand on. Owns its tensors: `set` keeps them, the next `set` or `clear` frees them. */
export class IndexStore {
  /** Number of `set` calls since the store was made; for tests and reports. */
  selections = 0;
  readonly #gpu: Gpu;
  #list: TokenList | undefined;
  #layer = -1;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Layer that stored the current list, or -1. */
  get layer(): number {
    return this.#layer;
  }

  /** Keeps a list for the layers that follow `layer`. */
  set(layer: number, list: TokenList): void {
    this.clear();
    this.#gpu.keep(list.indices);
    if (typeof list.counts === 'object') this.#gpu.keep(list.counts);
    this.#list = list;
    this.#layer = layer;
    this.selections++;
  }

  /** The list stored last. Throws {@link NoSelectionError} when there is none. */
  get(layer: number): TokenList {
    if (!this.#list) throw new NoSelectionError(layer);
    return this.#list;
  }

  clear(): void {
    this.#list?.indices.dispose();
    if (typeof this.#list?.counts === 'object') this.#list.counts.dispose();
    this.#list = undefined;
    this.#layer = -1;
  }
}
