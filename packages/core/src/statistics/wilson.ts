import { ArgumentError } from '../errors.ts';

/** An estimate with its 95% interval, from `n` samples. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/** The 97.5% quantile of the standard normal distribution. */
const z = 1.959963984540054;

/**
 * A share of successes with the 95% score interval of Wilson (1927), which stays inside [0, 1] and is not empty when
 * all or none succeed.
 *
 * @throws ArgumentError if `n` is not a positive integer or `successes` not an integer from 0 to `n`.
 */
export function wilsonInterval(successes: number, n: number): Interval {
  if (!Number.isSafeInteger(n) || n < 1) throw new ArgumentError('n', n, 'an integer >= 1');
  if (!Number.isSafeInteger(successes) || successes < 0 || successes > n) {
    throw new ArgumentError('successes', successes, `an integer from 0 to ${n}`);
  }
  const value = successes / n;
  const centre = (value + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((value * (1 - value)) / n + (z * z) / (4 * n * n));
  // At the ends the bound equals the estimate exactly; rounding must not put it on the wrong side.
  const low = successes === 0 ? 0 : Math.min(value, centre - half);
  const high = successes === n ? 1 : Math.max(value, centre + half);
  return { value, low, high, n };
}
