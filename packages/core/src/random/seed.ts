import { ArgumentError } from '../errors.ts';

/** 64 bits: a whole number from 0 to 2^53 - 1, or a bigint from 0 to 2^64 - 1. */
export type Seed = number | bigint;

/**
 * The low and the high 32 bits of a seed (or of any other 64-bit count).
 *
 * @throws ArgumentError outside the range.
 */
export function splitSeed(argument: string, seed: Seed): readonly [low: number, high: number] {
  const valid =
    typeof seed === 'bigint'
      ? seed >= 0n && seed < 1n << 64n
      : typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0;
  if (!valid) throw new ArgumentError(argument, seed, 'a safe integer of 0 or more, or a bigint below 2^64');
  const bits = BigInt(seed);
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}
