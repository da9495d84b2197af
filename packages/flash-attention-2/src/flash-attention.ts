import { parseOptions, type Tensor } from '@saccade/core';
import { forwardOptions, forwardPass } from './forward-pass.ts';
import { type FlashAttentionOptions, flashAttentionOptions } from './options.ts';
import type { FlashAttentionResult } from './result.ts';

/**
 * Exact attention, softmax(scale q k^T) v, without the N x M score matrix (FlashAttention-2, arXiv 2307.08691, section 3.1.1 and
 * algorithm 1): a workgroup owns rows of queries and walks over the keys, its output is divided once, behind the loop.
 *
 * @param q f32 or f16 [B, H, N, D], D from 1 to 256
 * @param k f32 or f16 [B, Hkv, M, D]; query head h reads key/value head floor(h Hkv / H)
 * @param v as `k`
 * @throws OptionError for an option out of its range; ShapeError for a rank other than 4, H that is no multiple of Hkv, and sizes that
 *   do not fit; ArgumentError for other dtypes.
 */
export function flashAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: FlashAttentionOptions = {},
): FlashAttentionResult {
  return forwardPass(q, k, v, forwardOptions(parseOptions(flashAttentionOptions, options)));
}
