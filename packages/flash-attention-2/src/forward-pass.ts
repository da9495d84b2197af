import { type AttentionOptions, attention, type Tensor } from '@saccade/core';
import type { ResolvedFlashAttentionOptions } from './options.ts';
import type { FlashAttentionResult } from './result.ts';
import { whereToLook } from './where-to-look.ts';

/** The engine's options of a forward pass. */
export function forwardOptions(options: ResolvedFlashAttentionOptions): AttentionOptions {
  const { numSplits, layout } = options;
  return {
    ...whereToLook(options),
    plan: { ...(numSplits === null ? {} : { parts: numSplits }), ...(layout === null ? {} : { layout }) },
  };
}

/** One forward pass of the engine, with its log-sum-exp. */
export function forwardPass(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): FlashAttentionResult {
  const { output, logSumExp } = attention(q, k, v, { ...options, returnLogSumExp: true });
  return { out: output, logSumExp: logSumExp as Tensor };
}
