import { ArgumentError } from '../errors.ts';
import { mean, median, quantile, requireSample } from './quantile.ts';
import type { Interval } from './wilson.ts';

/** How `bootstrapMean` resamples. */
export interface BootstrapOptions {
  /** Resamples drawn; 2,000 if absent. */
  readonly resamples?: number;
  /** The same seed gives the same interval; 0 if absent. */
  readonly seed?: number;
  /**
   * Length of the runs that are drawn together, 1 if absent. Neighbouring values of a sequence are not independent (the
   * losses of one text's tokens): with runs longer than their correlation the interval stays honest.
   */
  readonly blockLength?: number;
  /** Applied to the mean and to its interval; must be increasing (`Math.exp` turns a mean loss into perplexity). */
  readonly transform?: (mean: number) => number;
}

/**
 * The mean of a sample with its 95% percentile bootstrap interval (moving blocks, Kuensch 1989, where `blockLength` > 1).
 *
 * @throws ArgumentError if the sample is empty or not finite, or an option is out of range.
 */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions = {}): Interval {
  const { resamples = 2000, seed = 0, blockLength = 1, transform = (value: number) => value } = options;
  requireSample('values', values);
  if (!Number.isSafeInteger(resamples) || resamples < 100) {
    throw new ArgumentError('resamples', resamples, 'an integer >= 100');
  }
  if (!Number.isSafeInteger(blockLength) || blockLength < 1) {
    throw new ArgumentError('blockLength', blockLength, 'an integer >= 1');
  }
  const n = values.length;
  const block = Math.min(blockLength, n);
  const starts = n - block + 1;
  const uniform = uniformGenerator(seed);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let sum = 0;
    for (let drawn = 0; drawn < n; ) {
      const start = Math.floor(uniform() * starts);
      const length = Math.min(block, n - drawn);
      for (let offset = 0; offset < length; offset++) sum += values[start + offset] as number;
      drawn += length;
    }
    means[resample] = sum / n;
  }
  const value = mean(values);
  // The estimate belongs to its own interval, also in a sample so small that no resample reaches it.
  const low = Math.min(value, quantile(means, 0.025));
  const high = Math.max(value, quantile(means, 0.975));
  return { value: transform(value), low: transform(low), high: transform(high), n };
}

/**
 * median(numerator) / median(denominator) with its 95% percentile bootstrap interval. The samples are paired: equal
 * indices were measured next to each other and are drawn together.
 *
 * @throws ArgumentError if a sample is empty or not finite, the lengths differ, or a denominator is not positive.
 */
export function bootstrapMedianRatio(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  options: Pick<BootstrapOptions, 'resamples' | 'seed'> = {},
): Interval {
  const { resamples = 2000, seed = 0 } = options;
  requireSample('numerator', numerator);
  requireSample('denominator', denominator);
  const n = numerator.length;
  if (denominator.length !== n) throw new ArgumentError('denominator', `${denominator.length} values`, `${n} values`);
  for (let index = 0; index < n; index++) {
    const value = denominator[index] as number;
    if (value <= 0) throw new ArgumentError(`denominator[${index}]`, value, 'a number > 0');
  }
  const uniform = uniformGenerator(seed);
  const above = new Float64Array(n);
  const below = new Float64Array(n);
  const ratios = Float64Array.from({ length: resamples }, () => {
    for (let index = 0; index < n; index++) {
      const drawn = Math.floor(uniform() * n);
      above[index] = numerator[drawn] as number;
      below[index] = denominator[drawn] as number;
    }
    return median(above) / median(below);
  });
  const value = median(numerator) / median(denominator);
  return { value, low: Math.min(value, quantile(ratios, 0.025)), high: Math.max(value, quantile(ratios, 0.975)), n };
}

/**
 * A statistic of samples with its 95% percentile bootstrap interval, such as F1 over the questions of images: a sample is what is
 * independent of the others, and all that hangs together with it is drawn with it. Resamples for which the statistic is NaN (a
 * precision without positives) are left out.
 *
 * @throws ArgumentError if there are no samples, the statistic of all of them is not finite, or an option is out of range.
 */
export function bootstrapStatistic<Sample>(
  samples: readonly Sample[],
  statistic: (resample: readonly Sample[]) => number,
  options: Pick<BootstrapOptions, 'resamples' | 'seed'> = {},
): Interval {
  const { resamples = 2000, seed = 0 } = options;
  if (samples.length === 0) throw new ArgumentError('samples', 'an empty list', 'at least one sample');
  if (!Number.isSafeInteger(resamples) || resamples < 100) {
    throw new ArgumentError('resamples', resamples, 'an integer >= 100');
  }
  const value = statistic(samples);
  if (!Number.isFinite(value)) throw new ArgumentError('statistic', value, 'a finite number for all samples');
  const uniform = uniformGenerator(seed);
  const found: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    const drawn = samples.map(() => samples[Math.floor(uniform() * samples.length)] as Sample);
    const own = statistic(drawn);
    if (!Number.isNaN(own)) found.push(own);
  }
  const [low, high] = found.length === 0 ? [value, value] : [quantile(found, 0.025), quantile(found, 0.975)];
  return { value, low: Math.min(value, low), high: Math.max(value, high), n: samples.length };
}

/** Uniform numbers in [0, 1) from a 32-bit Weyl sequence with a mixing step (Mulberry32): plenty for resampling. */
function uniformGenerator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
