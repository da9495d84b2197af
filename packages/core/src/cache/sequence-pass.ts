import type { Tensor } from '../tensor/tensor.ts';
import type { DeviceNumbers } from './device-numbers.ts';

/** How the rows of a pass stand in k and v: [B, Hkv, N, D] with N the largest count, or one after the other. */
export type RowForm = 'padded' | 'packed';

/** Marks a row of the padded form that belongs to no token. */
const noSequence = 0xffffffff;

/**
 * Which tokens one pass appends: `counts[b]` behind the `starts[b]` tokens that sequence b has. Lengths that are the same
 * for all sequences stay numbers, so that nothing is uploaded; others go to the device once per pass, not per layer. With a
 * `bound` all go there, so that the same commands serve later passes of as many tokens, until a sequence is longer than it.
 */
export class SequencePass {
  readonly starts: readonly number[];
  readonly counts: readonly number[];
  /** Tokens of each sequence after the pass. */
  readonly ends: readonly number[];
  /** Most tokens of one sequence in this pass, N. */
  readonly tokens: number;
  /** Most tokens of a sequence for which its commands hold; undefined where they are for this pass alone. */
  readonly bound: number | undefined;
  readonly #numbers: DeviceNumbers;
  readonly #prefix: string;
  readonly #memo = new Map<string, Tensor>();
  readonly #elsewhere = new Map<string, SequencePass>();

  constructor(
    numbers: DeviceNumbers,
    starts: readonly number[],
    counts: readonly number[],
    prefix = '',
    bound?: number,
  ) {
    this.#numbers = numbers;
    this.#prefix = prefix;
    this.starts = [...starts];
    this.counts = [...counts];
    this.bound = bound;
    this.ends = starts.map((start, sequence) => start + (counts[sequence] as number));
    this.tokens = Math.max(...counts);
  }

  /** Whether all sequences have the same length and append the same number, known when commands are recorded. */
  get uniform(): boolean {
    return this.bound === undefined && same(this.starts) && same(this.counts);
  }

  /** Rows in k and v of the packed form. */
  get rows(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** Sequence positions of the appended tokens in packed order, for rotary embeddings: u32 [sum of counts]. */
  get positions(): Tensor {
    return this.#upload('positions', () =>
      this.counts.flatMap((count, sequence) =>
        Array.from({ length: count }, (_, index) => (this.starts[sequence] as number) + index),
      ),
    );
  }

  /**
   * For each row of k: its sequence, its position, its number among the sequence's new rows, and the sequence's end. Behind
   * them the number of new rows of each sequence. u32 [rows + B, 4]
   */
  rowTable(form: RowForm): Tensor {
    return this.#upload(
      `rows-${form}`,
      () => [
        ...this.counts.flatMap((count, sequence) =>
          Array.from({ length: form === 'padded' ? this.tokens : count }, (_, index) => [
            index < count ? sequence : noSequence,
            (this.starts[sequence] as number) + index,
            index,
            this.ends[sequence] as number,
          ]).flat(),
        ),
        ...this.counts.flatMap((count) => [count, 0, 0, 0]),
      ],
      4,
    );
  }

  /** Puts on the device what layers and positions read of this pass. */
  announce(): void {
    this.positions;
    this.rowTable('padded');
  }

  /** One number per sequence: a number where all are the same, else u32 [B]. `name` must stand for the same values in the whole pass. */
  perSequence(name: string, values: () => readonly number[]): number | Tensor {
    const list = values();
    return this.bound === undefined && same(list) ? (list[0] as number) : this.#upload(name, () => list);
  }

  /** Lengths of keys for the engine, with their bound where they stand on the device. `most`: that a layer holds. */
  keyLength(
    name: string,
    lengths: readonly number[],
    most = Number.POSITIVE_INFINITY,
  ): { keyLength: number | Tensor; keyBound?: number } {
    const keyLength = this.perSequence(name, () => lengths);
    if (typeof keyLength === 'number') return { keyLength };
    return { keyLength, keyBound: Math.min(this.bound ?? Math.max(...lengths), most) };
  }

  /** As {@link perSequence}, on the device in any case. */
  onDevice(name: string, values: () => readonly number[]): Tensor {
    return this.#upload(name, values);
  }

  /** `queryLength` for the engine: needed where a sequence has fewer new tokens than the batch has rows. */
  get queryLength(): { queryLength?: Tensor } {
    return same(this.counts) ? {} : { queryLength: this.#upload('counts', () => this.counts) };
  }

  /** The same tokens written from other rows on. `name` must stand for the same starts in the whole pass. */
  at(name: string, starts: readonly number[]): SequencePass {
    const pass =
      this.#elsewhere.get(name) ?? new SequencePass(this.#numbers, starts, this.counts, `${name}-`, this.bound);
    this.#elsewhere.set(name, pass);
    return pass;
  }

  #upload(name: string, values: () => readonly number[], columns?: number): Tensor {
    let tensor = this.#memo.get(name);
    if (!tensor) {
      const data = Uint32Array.from(values());
      tensor = this.#numbers.get(this.#prefix + name, data, columns ? [data.length / columns, columns] : [data.length]);
      this.#memo.set(name, tensor);
    }
    return tensor;
  }
}

export function same(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}
