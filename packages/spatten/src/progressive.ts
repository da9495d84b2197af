import {
  type AttentionProbabilitiesOptions,
  add,
  attentionProbabilities,
  max,
  maximum,
  min,
  minimum,
  multiply,
  type PagedRows,
  scale,
  type Tensor,
} from '@saccade/core';
import { headLengths } from './head-lengths.ts';

/** What {@link progressiveProbabilities} takes beside queries and keys. */
export interface ProgressiveOptions extends Omit<AttentionProbabilitiesOptions, 'keyLength' | 'keyBound'> {
  /** Valid keys. */
  readonly keyLength: number;
  /** Confidence, tau: a distribution whose largest probability is below it is computed again from all bits. */
  readonly threshold: number;
  /** f32 [Hkv], 1 for heads that count, 0 for those that read nothing. Default: all count. */
  readonly heads?: Tensor | undefined;
}

/** Probabilities, and where the low bits were read. */
export interface ProgressiveProbabilities {
  /** f32 [1, H, 1, K] */
  readonly probabilities: Tensor;
  /** f32 [Hkv]: 1 for heads whose low bits were read. */
  readonly refetched: Tensor;
}

/**
 * Progressive quantization (paper): probabilities by the high bits of the keys; heads whose distribution is flat, so that an
 * error of the scores would show, read all bits. One query. Grouped queries decide together: the keys are the same, and one
 * flat distribution calls for them.
 *
 * @param q f32 [1, H, 1, D]
 * @param keys Rows in pages whose format holds low bits apart; pages in full precision are read as they are.
 */
export function progressiveProbabilities(
  q: Tensor,
  keys: PagedRows,
  options: ProgressiveOptions,
): ProgressiveProbabilities {
  const { threshold, heads: counting, keyLength, ...where } = options;
  const { gpu } = q;
  const [, queryHeads] = q.shape as [number, number];
  const kvHeads = keys.shape[1] as number;
  const quick = attentionProbabilities(q, keys.high, { ...where, ...headLengths(counting, keyLength) });
  const peaks = min(max(quick, { axis: 3 }).reshape([kvHeads, queryHeads / kvHeads]), { axis: 1 });
  const flat = minimum(maximum(scale(scale(peaks, -1, threshold), 1e30), gpu.tensor([0])), gpu.tensor([1]));
  const refetched = counting ? multiply(flat, counting) : flat;
  const exact = attentionProbabilities(q, keys, { ...where, ...headLengths(refetched, keyLength) });
  const grouped = [1, kvHeads, queryHeads / kvHeads, quick.shape[3] as number];
  const kept = scale(refetched, -1, 1).reshape([1, kvHeads, 1, 1]);
  const probabilities = add(multiply(quick.reshape(grouped), kept), exact.reshape(grouped));
  return { probabilities: probabilities.reshape(quick.shape), refetched };
}
