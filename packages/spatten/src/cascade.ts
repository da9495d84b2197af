import {
  absolute,
  add,
  cast,
  concatenate,
  divide,
  type Gpu,
  gather,
  maximum,
  multiply,
  scatterAdd,
  sum,
  type Tensor,
  topK,
} from '@saccade/core';

/** Shape and settings of a cascade. */
export interface CascadeSettings {
  readonly kvHeads: number;
  readonly protectFirst: number;
  readonly normalizeByVisits: boolean;
}

/**
 * Importance of tokens and heads, accumulated over heads, layers and steps and never reset, and who is alive in the pass that
 * runs (paper, cascade pruning). Everything stays on the GPU; counts are known on the host.
 */
export class Cascade {
  readonly #gpu: Gpu;
  readonly settings: CascadeSettings;
  /** f32 [M]: sums of probabilities by row of the cache; in encoders by token that is left. */
  #tokens: Tensor | undefined;
  /** f32 [M]: queries that could see each row. */
  #visits: Tensor | undefined;
  /** f32 [Hkv]: sums of absolute outputs. */
  #heads: Tensor | undefined;
  /** u32 [K], ascending; undefined while all are alive. */
  #alive: Tensor | undefined;
  /** f32 [Hkv], 1 or 0; undefined while all are alive. */
  #aliveHeads: Tensor | undefined;
  #aliveCount = 0;
  /** u32: 0, 1, ..., at least as many as there were keys. */
  #numbers: Tensor | undefined;
  #aliveHeadCount: number;

  constructor(gpu: Gpu, settings: CascadeSettings) {
    this.#gpu = gpu;
    this.settings = settings;
    this.#aliveHeadCount = settings.kvHeads;
  }

  /** f32 [M]: accumulated importance of tokens; undefined before the first layer. */
  get tokenImportance(): Tensor | undefined {
    return this.#tokens;
  }

  /** f32 [Hkv] */
  get headImportance(): Tensor | undefined {
    return this.#heads;
  }

  /** u32 [K]: rows that are alive; undefined where all are. */
  get alive(): Tensor | undefined {
    return this.#alive;
  }

  /** f32 [Hkv]: 1 for heads that are alive; undefined where all are. */
  get aliveHeads(): Tensor | undefined {
    return this.#aliveHeads;
  }

  get aliveHeadCount(): number {
    return this.#aliveHeadCount;
  }

  /** Everybody is alive again: a pass over `keys` keys begins. */
  begin(keys: number): void {
    this.#alive = replace(this.#alive, undefined);
    this.#aliveHeads = replace(this.#aliveHeads, undefined);
    this.#aliveCount = keys;
    this.#aliveHeadCount = this.settings.kvHeads;
  }

  /** Leaves `count` of the tokens that are alive: the protected ones, the newest, and the most important others. */
  narrowTokens(count: number): void {
    if (count >= this.#aliveCount || !this.#tokens) return;
    const next = this.#gpu.tidy(() => this.#mostImportant(this.#alive ?? this.#rows(this.#aliveCount), count));
    this.#alive = replace(this.#alive, this.#gpu.keep(next));
    this.#aliveCount = count;
  }

  /** As {@link narrowTokens}, where tokens leave the sequence: rows to keep, u32 [count]; importance moves along. */
  removeTokens(count: number): Tensor {
    const rows = this.#mostImportant(this.#rows(this.#aliveCount), count);
    const kept = (values: Tensor | undefined) => values && this.#gpu.keep(gather(values, rows));
    this.#tokens = replace(this.#tokens, kept(this.#tokens));
    this.#visits = replace(this.#visits, kept(this.#visits));
    this.#aliveCount = count;
    return rows;
  }

  /** Leaves `count` of the heads that are alive. */
  narrowHeads(count: number): void {
    if (count >= this.#aliveHeadCount || !this.#heads) return;
    const flags = this.#gpu.tidy(() => {
      const one = this.#gpu.tensor([1]);
      const standing = add(this.#heads as Tensor, one);
      const { indices } = topK(this.#aliveHeads ? multiply(standing, this.#aliveHeads) : standing, count);
      return scatterAdd(one.broadcastTo([count]), indices, this.settings.kvHeads);
    });
    this.#aliveHeads = replace(this.#aliveHeads, this.#gpu.keep(flags));
    this.#aliveHeadCount = count;
  }

  /**
   * Adds the probability mass that tokens received.
   *
   * @param mass f32 [M] by row, or f32 [K] by token that is alive
   * @param pass First position and number of the queries, for visits.
   */
  addMass(mass: Tensor, capacity: number, pass: { readonly start: number; readonly queries: number }): void {
    this.#tokens = this.#accumulate(this.#tokens, this.#byRow(mass, capacity), capacity);
    if (this.settings.normalizeByVisits) {
      this.#visits = this.#accumulate(this.#visits, this.#visitsOf(capacity, pass), capacity);
    }
  }

  /** Adds what heads put out: f32 [1, H, N, D], before the output projection. */
  addOutput(output: Tensor): void {
    const { kvHeads } = this.settings;
    const size = output.size / kvHeads;
    const sums = sum(absolute(output).reshape([kvHeads, size]), { axis: 1 });
    this.#heads = this.#accumulate(this.#heads, sums, kvHeads);
  }

  fork(): Cascade {
    const fork = new Cascade(this.#gpu, this.settings);
    const shared = (tensor: Tensor | undefined) => tensor && this.#gpu.keep(tensor.alias());
    fork.#tokens = shared(this.#tokens);
    fork.#visits = shared(this.#visits);
    fork.#heads = shared(this.#heads);
    return fork;
  }

  dispose(): void {
    this.begin(0);
    for (const tensor of [this.#tokens, this.#visits, this.#heads, this.#numbers]) tensor?.dispose();
    this.#numbers = undefined;
    this.#tokens = undefined;
    this.#visits = undefined;
    this.#heads = undefined;
  }

  /** u32 [count]: those of the alive `rows` (ascending) that stay, ascending. */
  #mostImportant(rows: Tensor, count: number): Tensor {
    const tokens = this.#tokens as Tensor;
    const scores = this.#visits ? divide(tokens, maximum(this.#visits, this.#gpu.tensor([1]))) : tokens;
    // The newest token stays, then as many of the first as are protected.
    const first = Math.min(this.settings.protectFirst, count - 1);
    const newest = rows.size - 1;
    const free = count - 1 - first;
    const parts = [rows.slice(0, 0, first)];
    if (free > 0) {
      const candidates = rows.slice(0, first, newest);
      const { indices } = topK(gather(scores, candidates), free, { order: 'index' });
      parts.push(gather(candidates, indices));
    }
    parts.push(rows.slice(0, newest, newest + 1));
    return concatenate(
      parts.filter(({ size }) => size > 0),
      0,
    );
  }

  /** u32 [count]: 0, 1, ... */
  #rows(count: number): Tensor {
    if (!this.#numbers || this.#numbers.size < count) {
      const size = 2 ** Math.ceil(Math.log2(count));
      const numbers = Array.from({ length: size }, (_, row) => row);
      this.#numbers?.dispose();
      this.#numbers = this.#gpu.keep(this.#gpu.tensor(numbers, [size], 'u32'));
    }
    return this.#numbers.slice(0, 0, count);
  }

  /** f32 [capacity] */
  #byRow(values: Tensor, capacity: number): Tensor {
    if (!this.#alive || values.size !== this.#aliveCount) return values;
    return scatterAdd(values, this.#alive, capacity);
  }

  /** Queries of the pass that could see each row that is alive: those at its position or later. */
  #visitsOf(capacity: number, { start, queries }: { readonly start: number; readonly queries: number }): Tensor {
    const rows = this.#alive ?? this.#rows(this.#aliveCount);
    const late = maximum(add(cast(rows, 'f32'), this.#gpu.tensor([-start])), this.#gpu.tensor([0]));
    const visits = add(multiply(late, this.#gpu.tensor([-1])), this.#gpu.tensor([queries]));
    return scatterAdd(visits, rows, capacity);
  }

  #accumulate(known: Tensor | undefined, more: Tensor, size: number): Tensor {
    const missing = known ? size - known.size : 0;
    const padded = known && missing > 0 ? concatenate([known, this.#gpu.zeros([missing])], 0) : known;
    const total = this.#gpu.keep(padded ? add(padded, more) : more.alias());
    known?.dispose();
    return total;
  }
}

function replace<T extends Tensor | undefined>(old: Tensor | undefined, next: T): T {
  if (old !== next) old?.dispose();
  return next;
}
