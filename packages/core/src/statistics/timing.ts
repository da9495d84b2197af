import { quantile } from './quantile.ts';

/** Repeated timings of one thing, in the unit of the samples. `n` is the number of samples. */
export interface TimingSummary {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  readonly n: number;
}

/**
 * Median and 10th and 90th percentile: times are skewed, so mean and standard deviation would mislead.
 *
 * @throws ArgumentError if there is no sample or one is not finite.
 */
export function summarizeTimings(samples: ArrayLike<number>): TimingSummary {
  return {
    median: quantile(samples, 0.5),
    p10: quantile(samples, 0.1),
    p90: quantile(samples, 0.9),
    n: samples.length,
  };
}
