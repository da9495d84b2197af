import { crossEntropy, logSoftmax, type Tensor, type TokenLogprobs, topK } from '@saccade/core';

/**
 * Log-probabilities on the device: negated that of the token [1], then values f32 [1, k] and ids u32 [1, k] of the most
 * probable ones, where any are wanted.
 */
export function launchLogprobs(logits: Tensor, token: Tensor, count: number): readonly Tensor[] {
  const { gpu } = logits;
  return gpu.tidy(() => {
    const loss = crossEntropy(logits, token);
    if (count === 0) return [loss];
    const top = topK(logSoftmax(logits), Math.min(count, logits.shape[1] as number));
    return [loss, top.values, top.indices];
  });
}

/** What {@link launchLogprobs} gave, once it is read. */
export function readLogprobs([loss, values, ids]: readonly ArrayLike<number>[]): TokenLogprobs {
  const top = Array.from(values ?? [], (logprob, rank) => ({ id: ids?.[rank] as number, logprob }));
  return { logprob: -(loss?.[0] as number), top };
}
