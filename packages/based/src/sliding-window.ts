import { type AttentionOptions, attention, parseOptions, type Tensor } from '@saccade/core';
import { basedOptions } from './options.ts';

/** Tokens that a query of a window layer sees, its own among them. */
export function visibleTokens(windowSize: number): number {
  return Math.floor(windowSize / 2) + 1;
}

/** Where a window layer looks, in the engine's terms. */
export function windowMask(windowSize: number): Pick<AttentionOptions, 'causal' | 'slidingWindow'> {
  return { causal: true, slidingWindow: visibleTokens(windowSize) };
}

/**
 * Based's local layer: exact softmax attention over the query's own token and `windowSize / 2` before it (section 4.2; the published code
 * passes half of its window size on).
 *
 * @param q f32 [B, H, N, D], rotary embedding applied
 * @param k f32 [B, Hkv, N, D]
 * @param v as `k`
 * @returns f32 [B, H, N, D]
 * @throws OptionError for a window below 2; ShapeError where shapes do not fit
 */
export function slidingWindowAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: { readonly windowSize?: number } = {},
): Tensor {
  const { windowSize } = parseOptions(basedOptions, options);
  return attention(q, k, v, windowMask(windowSize)).output;
}
