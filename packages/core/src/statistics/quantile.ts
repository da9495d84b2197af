import { ArgumentError } from '../errors.ts';

/** Refuses an empty sample and values that are not finite: every statistic of them would be meaningless. */
export function requireSample(argument: string, values: ArrayLike<number>): void {
  if (values.length === 0) throw new ArgumentError(argument, 'an empty list', 'at least one value');
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(values[index]))
      throw new ArgumentError(`${argument}[${index}]`, values[index], 'a finite number');
  }
}

/**
 * The quantile `share` (0 to 1) of a sample, linearly interpolated between order statistics (Hyndman-Fan type 7,
 * the default of NumPy and R). The sample need not be sorted.
 *
 * @throws ArgumentError if the sample is empty or not finite, or `share` is outside [0, 1].
 */
export function quantile(values: ArrayLike<number>, share: number): number {
  requireSample('values', values);
  if (!(share >= 0 && share <= 1)) throw new ArgumentError('share', share, 'a number from 0 to 1');
  const sorted = Float64Array.from(values).sort();
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] as number;
  const above = sorted[Math.ceil(position)] as number;
  // Rounding may not lead past the upper neighbour.
  return Math.min(above, below + (above - below) * (position - Math.floor(position)));
}

/** The middle of a sample; the mean of the two middle values where their number is even. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/** The arithmetic mean of a sample. */
export function mean(values: ArrayLike<number>): number {
  requireSample('values', values);
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index] as number;
  return sum / values.length;
}
