import type { AttentionOptions } from '@saccade/core';
import type { ResolvedFlashAttentionOptions } from './options.ts';
import { windowOf } from './window.ts';

type Given = Pick<ResolvedFlashAttentionOptions, 'scale' | 'causal' | 'window'> &
  Partial<Pick<ResolvedFlashAttentionOptions, 'softcap'>>;

/**
 * Scale, mask and soft-cap in the engine's terms. One-sided windows take its bounds without a predicate per pair; all of them bound
 * the loop over keys, so that blocks which no query of a workgroup sees are never loaded (paper, section 3.1.1).
 */
export function whereToLook(
  options: Given,
): Pick<AttentionOptions, 'scale' | 'causal' | 'slidingWindow' | 'mask' | 'scoreModifiers'> {
  const { scale, softcap = 0 } = options;
  const { left, right } = windowOf(options);
  const bounded = Number.isFinite(right) && right > 0;
  return {
    ...(scale === null ? {} : { scale }),
    ...(right === 0 ? { causal: true } : {}),
    ...(Number.isFinite(left) ? { slidingWindow: left + 1 } : {}),
    ...(bounded ? { mask: { kind: 'slidingWindow', before: Math.min(left, 2 ** 30), after: right } } : {}),
    ...(softcap > 0 ? { scoreModifiers: [{ kind: 'softCap', cap: softcap }] } : {}),
  };
}
