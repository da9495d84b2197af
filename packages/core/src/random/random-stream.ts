import { ArgumentError } from '../errors.ts';
import { philox } from './philox.ts';
import { type Seed, splitSeed } from './seed.ts';

/** Separates host choices from tensors made with the same seed and stream. */
const hostDomain = 0x686f7374;

/** A reproducible sequence of choices on the host, from the same generator as random tensors. */
export class RandomStream {
  readonly #seed: readonly [number, number];
  readonly #stream: number;
  #counter = 0;
  #words: number[] = [];

  /**
   * @param seed 64 bits. Default 0.
   * @param stream Independent sequence under the same seed: from 0 to 2^32 - 1.
   * @throws ArgumentError outside these ranges.
   */
  constructor(seed: Seed = 0, stream = 0) {
    this.#seed = splitSeed('RandomStream: seed', seed);
    if (!Number.isInteger(stream) || stream < 0 || stream >= 2 ** 32) {
      throw new ArgumentError('RandomStream: stream', stream, 'an integer from 0 to 2^32 - 1');
    }
    this.#stream = stream;
  }

  /** A number uniform in [0, 1), a multiple of 2^-53. */
  next(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  /** An integer uniform in [0, below), exactly (by rejection). `below` is from 1 to 2^32. */
  integer(below: number): number {
    if (!Number.isInteger(below) || below < 1 || below > 2 ** 32) {
      throw new ArgumentError('RandomStream.integer: below', below, 'an integer from 1 to 2^32');
    }
    const usable = 2 ** 32 - (2 ** 32 % below);
    let word = this.#word();
    while (word >= usable) word = this.#word();
    return word % below;
  }

  /** The items in a random order; the given array stays as it is. */
  shuffle<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let last = out.length - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      [out[last], out[other]] = [out[other] as T, out[last] as T];
    }
    return out;
  }

  #word(): number {
    if (this.#words.length === 0) {
      const counter = this.#counter++;
      this.#words = [
        ...philox([counter % 2 ** 32, Math.floor(counter / 2 ** 32), this.#stream, hostDomain], this.#seed),
      ].reverse();
    }
    return this.#words.pop() as number;
  }
}
