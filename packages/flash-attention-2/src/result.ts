import type { Tensor } from '@saccade/core';

/** Attention over some keys, with what its backward pass and its combination with other keys need. */
export interface FlashAttentionResult {
  /** f32 [B, H, N, D]; zeros in rows that see no key. */
  readonly out: Tensor;
  /** f32 [B, H, N], natural log; rows that see no key hold a finite sentinel, which `readLogSumExp` reads as -Infinity. */
  readonly logSumExp: Tensor;
}
