import type { Gpu } from '../../device/gpu.ts';
import { ArgumentError } from '../../errors.ts';
import { RandomStream } from '../../random/random-stream.ts';
import type { Seed } from '../../random/seed.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { epochOrder } from './epoch-order.ts';

/** A text as token ids, such as its bytes in UTF-8 (`new TextEncoder().encode(text)`) or what a tokenizer gives. */
export type Tokens = ArrayLike<number>;

export interface TokenWindowsOptions {
  /** N: tokens of a window. Each predicts the token behind it. */
  readonly length: number;
  /** B: windows of a batch. */
  readonly batch: number;
  /**
   * `random`: every window begins anywhere. `epochs`: windows stand one behind the other, in a new order and from a new beginning in
   * each epoch, so that an epoch sees every token once, but for what is left at the ends. Default `random`.
   */
  readonly order?: 'random' | 'epochs';
  /** Default 0. */
  readonly seed?: Seed;
}

/** Rows of tokens and, at each place, the token that follows. */
export interface TokenBatch {
  /** [B N] */
  readonly ids: Uint32Array;
  /** [B N] */
  readonly targets: Uint32Array;
}

/** Batches of contiguous windows of one long text. A batch is a function of seed and step alone, so that a resumed run sees the same. */
export class TokenWindows {
  readonly length: number;
  readonly batch: number;
  readonly #tokens: Tokens;
  readonly #order: 'random' | 'epochs';
  readonly #seed: Seed;

  /** @throws ArgumentError for a text that is too short, or options out of their range */
  constructor(tokens: Tokens, { length, batch, order = 'random', seed = 0 }: TokenWindowsOptions) {
    for (const [name, value] of Object.entries({ length, batch })) {
      if (!(Number.isInteger(value) && value >= 1)) {
        throw new ArgumentError(`TokenWindows: ${name}`, value, 'an integer of 1 or more');
      }
    }
    if (order !== 'random' && order !== 'epochs') {
      throw new ArgumentError('TokenWindows: order', order, "'random', 'epochs'");
    }
    const least = order === 'epochs' ? batch * length + length : length + 1;
    if (tokens.length < least) {
      throw new ArgumentError('TokenWindows: tokens', `${tokens.length} tokens`, `${least} or more for a batch`);
    }
    this.length = length;
    this.batch = batch;
    this.#tokens = tokens;
    this.#order = order;
    this.#seed = seed;
  }

  /** Whole batches of an epoch. */
  get stepsPerEpoch(): number {
    return Math.floor(this.#windowsPerEpoch / this.batch);
  }

  /** The batch of a step, from 0, on the host. */
  at(step: number): TokenBatch {
    const starts = this.#order === 'random' ? this.#randomStarts(step) : this.#epochStarts(step);
    const { length } = this;
    const batch = { ids: new Uint32Array(starts.length * length), targets: new Uint32Array(starts.length * length) };
    starts.forEach((start, row) => {
      for (let at = 0; at < length; at++) {
        batch.ids[row * length + at] = this.#tokens[start + at] as number;
        batch.targets[row * length + at] = this.#tokens[start + at + 1] as number;
      }
    });
    return batch;
  }

  /** The batch of a step on the GPU: u32 [B, N] each. The caller's, in a scope the scope's. */
  tensors(gpu: Gpu, step: number): { ids: Tensor; targets: Tensor } {
    const { ids, targets } = this.at(step);
    const shape = [this.batch, this.length];
    return gpu.tidy(() => ({ ids: gpu.tensor(ids, shape, 'u32'), targets: gpu.tensor(targets, shape, 'u32') }));
  }

  // One window less than fit: the beginning moves.
  get #windowsPerEpoch(): number {
    return Math.floor((this.#tokens.length - this.length) / this.length);
  }

  #randomStarts(step: number): number[] {
    const random = new RandomStream(this.#seed, step);
    return Array.from({ length: this.batch }, () => random.integer(this.#tokens.length - this.length));
  }

  #epochStarts(step: number): number[] {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    const { order, random } = epochOrder(this.#windowsPerEpoch, this.#seed, epoch);
    const beginning = random.integer(this.length);
    const first = (step % this.stepsPerEpoch) * this.batch;
    return order.slice(first, first + this.batch).map((window) => beginning + window * this.length);
  }
}

/** A text in two: the end, a share of it, is held out to measure on. @throws ArgumentError for a share out of its range */
export function splitTokens<T extends Tokens & { slice(start: number, end: number): T }>(
  tokens: T,
  options: { readonly heldOut: number },
): { readonly training: T; readonly heldOut: T } {
  const { heldOut } = options;
  if (!(heldOut > 0 && heldOut < 1)) throw new ArgumentError('splitTokens: heldOut', heldOut, '0 < heldOut < 1');
  const cut = Math.round(tokens.length * (1 - heldOut));
  return { training: tokens.slice(0, cut), heldOut: tokens.slice(cut, tokens.length) };
}
