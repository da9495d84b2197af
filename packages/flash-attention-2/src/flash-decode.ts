import { parseOptions, type Tensor } from '@saccade/core';
import { forwardOptions, forwardPass } from './forward-pass.ts';
import { type FlashAttentionOptions, flashAttentionOptions } from './options.ts';
import type { FlashAttentionResult } from './result.ts';

/**
 * Attention of few queries over a cache, its keys split into parts that run side by side and are combined by their log-sum-exps, so
 * that one query row still fills the device (flash decoding). The query heads of a group share each loaded key.
 *
 * @param q f32 or f16 [B, H, N, D]; the last query stands at the last valid key
 * @param kCache f32 or f16 [B, Hkv, C, D]: whole capacity
 * @param vCache as `kCache`
 * @param lengths Valid keys: a number for all, or u32 [B] that stays on the device
 * @throws OptionError, ShapeError, ArgumentError as `flashAttention`; ArgumentError for a length over the capacity
 */
export function flashDecode(
  q: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  lengths: number | Tensor,
  options: FlashAttentionOptions = {},
): FlashAttentionResult {
  const resolved = parseOptions(flashAttentionOptions, options);
  return forwardPass(q, kCache, vCache, { ...forwardOptions(resolved), keyLength: lengths });
}
