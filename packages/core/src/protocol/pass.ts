import type { KvCache } from '../cache/kv-cache.ts';
import type { Gpu } from '../device/gpu.ts';
import { RefusedError, ShapeError } from '../errors.ts';
import { concatenate, contiguous } from '../ops/copy.ts';
import { gather } from '../ops/gather.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { PromptFacts } from './encoded-prompt.ts';
import type { TokenSelection } from './method.ts';

/** One sequence of a pass: how many tokens it adds behind those in its cache. */
export interface PassSequence {
  /** Undefined in models without a cache. */
  readonly cache: KvCache | undefined;
  /** Tokens; of a batch those of all its sequences, each as many, one sequence after the other. */
  readonly count: number;
  /** Sequences of a batch in a model without a cache, B. Default 1, or those of the cache. */
  readonly batch?: number;
  /** Position of the first token. Default: behind those in the cache, without one 0. */
  readonly start?: number;
  /** Whether the run's methods act on it. Default: on the first sequence only. */
  readonly withMethods?: boolean;
  /** What is known of its prompt. Default: what its cache carries. */
  readonly prompt?: PromptFacts | undefined;
}

/** The rows of one sequence in the layer that runs now. */
export interface SequenceRows {
  readonly cache: KvCache | undefined;
  /** Position of its first token in this pass. */
  readonly start: number;
  /** Tokens up to the end of this pass. */
  readonly seen: number;
  /** Rows of x, N; of a batch those of all its sequences. */
  readonly count: number;
  /** Sequences of the batch, B. */
  readonly batch: number;
  /** Positions of the rows, u32 [N], where they do not follow `start` one by one. */
  readonly positions: Tensor | undefined;
  /** Whether tokens were left out, so that a layer caches fewer than the pass has. */
  readonly selected: boolean;
  readonly withMethods: boolean;
  readonly prompt: PromptFacts | undefined;
}

/** Where the tokens of a pass stand, as `rope` takes it. */
export type RowPositions = { readonly start: number } | { readonly positions: Tensor };

/** Where the rows of a pass stand for the rotary embedding: as `rope` takes it, with `axes` those of several axes, u32 [A, N]. */
export type RotaryRows =
  | { readonly start: number }
  | { readonly positions: Tensor; readonly offset?: number }
  | { readonly axes: Tensor };

/** The rows of x in one pass: those of the sequence, then those of its companions. */
export class Pass {
  readonly #gpu: Gpu;
  readonly #given: readonly PassSequence[];
  #sequences: readonly SequenceRows[];
  #positions: RowPositions | undefined;
  #rotary: RotaryRows | undefined;
  readonly #kept: Tensor[] = [];

  constructor(gpu: Gpu, sequences: readonly PassSequence[]) {
    this.#gpu = gpu;
    this.#given = sequences;
    this.#sequences = sequences.map((given, sequence) => ({
      cache: given.cache,
      start: startOf(given),
      seen: startOf(given) + given.count / batchOf(given),
      count: given.count,
      batch: batchOf(given),
      positions: given.cache && positionsOnDevice(given.cache, given.count),
      selected: false,
      withMethods: given.withMethods ?? sequence === 0,
      prompt: given.prompt ?? given.cache?.prompt,
    }));
  }

  get sequences(): readonly SequenceRows[] {
    return this.#sequences;
  }

  /** The sequence that was asked for. */
  get main(): SequenceRows {
    return this.#sequences[0] as SequenceRows;
  }

  get rows(): number {
    return this.#sequences.reduce((sum, { count }) => sum + count, 0);
  }

  /** Number of positions that a table must have for this pass. */
  get positionBound(): number {
    return Math.max(...this.#sequences.map(({ seen, cache }) => cache?.openStep?.bound ?? seen));
  }

  get positions(): RowPositions {
    this.#positions ??= this.#computePositions();
    return this.#positions;
  }

  get rotary(): RotaryRows {
    this.#rotary ??= this.#sequences.some(({ prompt }) => prompt?.rotary) ? this.#computeRotary() : this.positions;
    return this.#rotary;
  }

  /** x with the selected rows of the main sequence only; following layers know their positions. */
  select(x: Tensor, selection: TokenSelection): Tensor {
    const before = this.main.count;
    const rows = this.narrow(selection);
    const own = gather(x.slice(0, 0, before), rows);
    return this.#sequences.length === 1 ? own : concatenate([own, x.slice(0, before, x.shape[0] as number)]);
  }

  /** Makes the selected rows those of the main sequence; returns their indices on the device. */
  narrow(selection: TokenSelection): Tensor {
    const { main } = this;
    if (main.batch > 1) {
      throw new RefusedError(
        `Tokens of ${main.batch} samples in one batch cannot be selected; run the samples one by one.`,
      );
    }
    const rows = selection instanceof Tensor ? selection : this.#gpu.tensor(selection, [selection.length], 'u32');
    const count = rows.shape[0] as number;
    if (rows.rank !== 1 || rows.dtype !== 'u32' || count < 1 || count > main.count) {
      throw new ShapeError(
        'token selection',
        `is ${rows.dtype}[${rows.shape}]; it takes u32 [K] with K from 1 to ${main.count} rows.`,
      );
    }
    const positions = this.#keep(gather(main.positions ?? this.#range(main), rows));
    this.#sequences = [{ ...main, count, positions, selected: true }, ...this.#sequences.slice(1)];
    this.#positions = undefined;
    this.#rotary = undefined;
    return rows;
  }

  /** Runs `work` on some rows of the main sequence; afterwards all of them count again. */
  within(selection: TokenSelection, work: () => Tensor): Tensor {
    const [sequences, positions, rotary] = [this.#sequences, this.#positions, this.#rotary];
    this.narrow(selection);
    try {
      return work();
    } finally {
      this.#sequences = sequences;
      this.#positions = positions;
      this.#rotary = rotary;
    }
  }

  /** Makes the tokens of the pass count in the caches. */
  advance(): void {
    for (const { cache, count } of this.#given) cache?.advance(count / cache.batch);
  }

  dispose(): void {
    for (const tensor of this.#kept.splice(0)) tensor.dispose();
  }

  #computePositions(): RowPositions {
    const [only, ...others] = this.#sequences as [SequenceRows, ...SequenceRows[]];
    if (others.length === 0 && (only.batch === 1 || only.positions)) {
      return only.positions ? { positions: only.positions } : { start: only.start };
    }
    return { positions: this.#keep(concatenate(this.#sequences.map((rows) => rows.positions ?? this.#range(rows)))) };
  }

  #computeRotary(): RotaryRows {
    const [only, ...others] = this.#sequences as [SequenceRows, ...SequenceRows[]];
    if (others.length === 0 && only.start >= promptLength(only)) {
      const offset = only.prompt?.rotary?.offset ?? 0;
      if (only.positions) return { positions: only.positions, offset };
      return { start: only.start + offset };
    }
    const count = Math.max(...this.#sequences.map(({ prompt }) => prompt?.rotary?.axes.length ?? 1));
    const each = this.#sequences.map((rows) => this.#axes(rows, count));
    const axes = each.length === 1 ? (each[0] as Tensor) : concatenate(each, 1);
    return { axes: this.#keep(axes) };
  }

  /** Positions of a sequence's rows on every axis: u32 [A, N]. */
  #axes(rows: SequenceRows, count: number): Tensor {
    const { start, seen, positions } = rows;
    const first = positions ? 0 : start;
    const length = seen - first;
    const table = new Uint32Array(count * length);
    for (let axis = 0; axis < count; axis++) {
      for (let index = 0; index < length; index++) {
        table[axis * length + index] = axisPosition(rows.prompt, axis, first + index);
      }
    }
    const all = this.#gpu.tensor(table, [count, length], 'u32');
    return positions ? contiguous(gather(contiguous(all.transpose(1, 0)), positions).transpose(1, 0)) : all;
  }

  /** Positions of rows that follow one another, in each sequence of a batch anew. */
  #range({ start, count, batch }: SequenceRows): Tensor {
    return this.#gpu.tensor(
      Uint32Array.from({ length: count }, (_, row) => start + (row % (count / batch))),
      [count],
      'u32',
    );
  }

  #keep(tensor: Tensor): Tensor {
    this.#kept.push(this.#gpu.keep(tensor));
    return tensor;
  }
}

/** Position of a sequence's first token in a pass. */
function startOf({ start, cache }: PassSequence): number {
  return start ?? cache?.length ?? 0;
}

function batchOf({ batch, cache }: PassSequence): number {
  return cache?.batch ?? batch ?? 1;
}

/** Positions of a pass where they are not the same for all sequences, or stand on the device for later passes too. */
function positionsOnDevice(cache: KvCache, count: number): Tensor | undefined {
  if (cache.openStep?.rows === count) return cache.openStep.positions;
  return cache.batch > 1 ? cache.begin(tokensEach(cache, count)).positions : undefined;
}

/** Tokens of each sequence of a batch. @throws ShapeError where they do not divide evenly */
function tokensEach({ batch }: KvCache, count: number): number[] {
  if (count % batch !== 0) {
    throw new ShapeError('pass', `${count} tokens are not equally many for each of ${batch} sequences.`);
  }
  return new Array(batch).fill(count / batch);
}

/** Tokens of a sequence whose positions have several axes. */
function promptLength({ prompt }: SequenceRows): number {
  return prompt?.rotary?.axes[0]?.length ?? 0;
}

/** Position of a token on one axis; behind the prompt, and in texts without images, axes do not differ. */
function axisPosition(prompt: PromptFacts | undefined, axis: number, index: number): number {
  const rotary = prompt?.rotary;
  if (!rotary) return index;
  return rotary.axes[axis]?.[index] ?? index + rotary.offset;
}
