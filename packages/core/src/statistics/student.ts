import { mean, requireSample } from './quantile.ts';
import type { Interval } from './wilson.ts';

/** 97.5% quantiles of Student's distribution with 1, 2, ... 10 degrees of freedom. */
const quantiles = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281];
/** Of the standard normal distribution. */
const z = 1.959963984540054;

/** The 97.5% quantile; beyond the table the expansion of Cornish and Fisher, good to 1e-3. */
function quantile(freedom: number): number {
  return (
    quantiles[freedom - 1] ??
    z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2)
  );
}

/**
 * The mean of a small sample with its 95% interval of Student (1908): for repeats such as seeds, of which a bootstrap would have too few
 * to draw from. It takes values that are normally distributed. A single value has no interval: its bounds are itself.
 *
 * @throws ArgumentError if the sample is empty or not finite
 */
export function studentInterval(values: ArrayLike<number>): Interval {
  requireSample('values', values);
  const n = values.length;
  const value = mean(values);
  if (n === 1) return { value, low: value, high: value, n };
  let squares = 0;
  for (let i = 0; i < n; i++) squares += ((values[i] as number) - value) ** 2;
  const half = quantile(n - 1) * Math.sqrt(squares / (n - 1) / n);
  return { value, low: value - half, high: value + half, n };
}
