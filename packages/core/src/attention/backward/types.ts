import type { Tensor } from '../../tensor/tensor.ts';
import type { WhereToLook } from '../types.ts';

/** Options of {@link attentionBackward}: those of the forward call that decided its probabilities, and its results. */
export interface AttentionBackwardOptions extends Omit<WhereToLook, 'normalizer' | 'keyStarts'> {
  /** f32 [B, H, N, D]: what the forward call returned. */
  readonly output: Tensor;
  /** f32 [B, H, N]: likewise, with the sentinel of empty rows as it holds it. */
  readonly logSumExp: Tensor;
  /**
   * For the counting proof: u32 [2], to which the kernels add every (workgroup, key) row that the one for dQ loads and every
   * (workgroup, query) row that the one for dK and dV loads. Slower; tests only.
   */
  readonly streamedRowCounter?: Tensor;
}

/** What {@link attentionBackward} returns. */
export interface AttentionGradients {
  /** f32 [B, H, N, D] */
  readonly dq: Tensor;
  /** f32 [B, Hkv, M, D]: summed over the query heads of each group; zero in rows that no query sees. */
  readonly dk: Tensor;
  readonly dv: Tensor;
}
