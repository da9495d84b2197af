import { ArgumentError } from '../errors.ts';
import { requireSample } from './quantile.ts';

function requireEqualLength(reference: ArrayLike<number>, values: ArrayLike<number>): void {
  if (reference.length !== values.length) {
    throw new ArgumentError('values', `${values.length} values`, `as many as the reference has, ${reference.length}`);
  }
}

/**
 * KL(p || q) in nats of the softmax distributions of two logit vectors of one vocabulary: what is lost by using
 * `logits` (q) in place of `reference` (p). Computed in f64; never negative.
 *
 * @throws ArgumentError if the lengths differ or a logit is not finite.
 */
export function klDivergence(reference: ArrayLike<number>, logits: ArrayLike<number>): number {
  requireEqualLength(reference, logits);
  requireSample('reference', reference);
  requireSample('logits', logits);
  const normalizerP = logSumExp(reference);
  const normalizerQ = logSumExp(logits);
  let sum = 0;
  for (let index = 0; index < reference.length; index++) {
    const logP = (reference[index] as number) - normalizerP;
    const logQ = (logits[index] as number) - normalizerQ;
    sum += Math.exp(logP) * (logP - logQ);
  }
  // The true value is >= 0; rounding of near-equal distributions can leave a few ulps below.
  return Math.max(0, sum);
}

/**
 * `klDivergence` of each row of two logit matrices of shape [rows, vocabulary], row after row. Their mean with an
 * interval is `bootstrapMean(klPerRow(...))`.
 *
 * @throws ArgumentError if the lengths differ, `vocabulary` does not divide them, or a logit is not finite.
 */
export function klPerRow(
  reference: Float32Array | Float64Array,
  logits: Float32Array | Float64Array,
  vocabulary: number,
): Float64Array {
  requireEqualLength(reference, logits);
  if (!Number.isSafeInteger(vocabulary) || vocabulary < 1 || reference.length % vocabulary !== 0) {
    throw new ArgumentError('vocabulary', vocabulary, `a divisor of the number of logits, ${reference.length}`);
  }
  return Float64Array.from({ length: reference.length / vocabulary }, (_, row) => {
    const from = row * vocabulary;
    return klDivergence(reference.subarray(from, from + vocabulary), logits.subarray(from, from + vocabulary));
  });
}

/**
 * ||values - reference|| / ||reference|| in the Euclidean norm; 0 where both are zero, Infinity where only the reference is.
 *
 * @throws ArgumentError if the lengths differ or a value is not finite.
 */
export function relativeError(reference: ArrayLike<number>, values: ArrayLike<number>): number {
  requireEqualLength(reference, values);
  requireSample('reference', reference);
  requireSample('values', values);
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < reference.length; index++) {
    difference += ((values[index] as number) - (reference[index] as number)) ** 2;
    norm += (reference[index] as number) ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

/**
 * Share of positions at which two token sequences agree, counted over the longer one: a sequence that ended early
 * disagrees from there on. 1 where both are empty.
 */
export function agreement(reference: ArrayLike<number>, tokens: ArrayLike<number>): number {
  const length = Math.max(reference.length, tokens.length);
  if (length === 0) return 1;
  let equal = 0;
  for (let index = 0; index < length; index++) if (reference[index] === tokens[index]) equal++;
  return equal / length;
}

function logSumExp(values: ArrayLike<number>): number {
  let maximum = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < values.length; index++) maximum = Math.max(maximum, values[index] as number);
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += Math.exp((values[index] as number) - maximum);
  return maximum + Math.log(sum);
}
