import type { BlockList, TokenList } from '../attention/lists.ts';
import type { Gpu } from '../device/gpu.ts';
import { SaccadeError } from '../errors.ts';
import { tensorsIn } from '../tensor/scope.ts';
import type { LayerKind } from './model-handle.ts';

/**
 * No list was stored that the layer may use: it runs before the layer that selects, or is not a global layer. Store one with
 * `indices.set` in an earlier global layer.
 */
export class NoSelectionError extends SaccadeError {
  static override readonly typeName: string = 'NoSelectionError';

  constructor(layer: number, from?: number) {
    const source = from === undefined ? 'no earlier layer that hands lists on to it' : `layer ${from}`;
    const which = from === undefined ? `${source} stored one` : `${source} stored none`;
    super('no-selection', `Layer ${layer} asks for a list, but ${which}.`);
  }
}

interface Entry {
  readonly list: TokenList | BlockList;
  readonly lasting: boolean;
}

/**
 * Lists of tokens or blocks by layer (per query head or key/value head, for all queries or per query block), which layers of
 * one pass hand on. Global layers hand on to global layers; a layer of another kind has its own lists only. Owns the tensors: `set` keeps them, and the next `set` of that layer or `clear` frees them.
 */
export class IndexStore {
  /** Number of `set` calls since the store was made; for tests and reports. */
  selections = 0;
  readonly #gpu: Gpu;
  readonly #kinds: readonly LayerKind[];
  readonly #entries = new Map<number, Entry>();
  #latest = -1;

  constructor(gpu: Gpu, kinds: readonly LayerKind[]) {
    this.#gpu = gpu;
    this.#kinds = kinds;
  }

  /** Layer that stored a list last, or -1. */
  get layer(): number {
    return this.#latest;
  }

  /**
   * Keeps a list as that of `layer`.
   * @param options `lasting`: kept over the passes of the run (a pattern of a denoising run), until replaced.
   */
  set(layer: number, list: TokenList | BlockList, options: { readonly lasting?: boolean } = {}): void {
    for (const tensor of tensorsIn(list)) this.#gpu.keep(tensor);
    const old = this.#entries.get(layer);
    if (old && old.list !== list) free(old.list);
    this.#entries.set(layer, { list, lasting: options.lasting ?? false });
    this.#latest = layer;
    this.selections++;
  }

  /** Whether `get` or `blocks` would find a list. */
  has(layer: number, from?: number): boolean {
    return this.#find(layer, from) !== undefined;
  }

  /**
   * The token list of the layer itself or of the nearest layer before it that hands on to it, or that of layer `from`.
   * @throws NoSelectionError when there is none.
   */
  get(layer: number, from?: number): TokenList {
    const list = this.#find(layer, from)?.list;
    if (!list || isBlocks(list)) throw new NoSelectionError(layer, from);
    return list;
  }

  /** As {@link get}, for a list of blocks. @throws NoSelectionError */
  blocks(layer: number, from?: number): BlockList {
    const list = this.#find(layer, from)?.list;
    if (!list || !isBlocks(list)) throw new NoSelectionError(layer, from);
    return list;
  }

  /** Frees the lists of the last pass; `everything` also those that last. */
  clear(everything = false): void {
    this.#latest = -1;
    if (this.#entries.size === 0) return;
    for (const [layer, { list, lasting }] of [...this.#entries]) {
      if (lasting && !everything) continue;
      free(list);
      this.#entries.delete(layer);
    }
  }

  #find(layer: number, from?: number): Entry | undefined {
    if (from !== undefined) return this.#handsOn(from, layer) ? this.#entries.get(from) : undefined;
    let nearest = -1;
    for (const stored of this.#entries.keys())
      if (stored > nearest && stored <= layer && this.#handsOn(stored, layer)) nearest = stored;
    return this.#entries.get(nearest);
  }

  #handsOn(from: number, to: number): boolean {
    return from === to || (this.#kinds[from] === 'global' && this.#kinds[to] === 'global');
  }
}

function isBlocks(list: TokenList | BlockList): list is BlockList {
  return 'keyBlock' in list;
}

function free(list: TokenList | BlockList): void {
  for (const tensor of tensorsIn(list)) tensor.dispose();
}
