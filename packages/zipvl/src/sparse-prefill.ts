import {
  type AttentionOptions,
  attention,
  contiguous,
  denseRows,
  type KeyRows,
  maskPositions,
  scatterRows,
  type Tensor,
} from '@saccade/core';
import { gatherTokens } from './gather-tokens.ts';

/** What {@link sparsePrefillAttention} passes on to attention. */
export type SparsePrefillOptions = Pick<AttentionOptions, 'scale' | 'scoreModifiers' | 'keyRowCounter'>;

/**
 * Causal attention among the important tokens of a prompt alone. Their queries, keys and values are gathered with the positions they were
 * rotated for; in ascending order causality is the ordinary one. The others' output is zero.
 *
 * @param q f32 [1, H, n, D]
 * @param keys [1, Hkv, M, D], whose first n rows are the prompt's
 * @param important u32 [n]: nonzero for important tokens. Their number is not read back: work is launched for n tokens and leaves early.
 * @returns f32 [1, H, n, D]
 */
export function sparsePrefillAttention(
  q: Tensor,
  keys: KeyRows,
  values: KeyRows,
  important: Tensor,
  options: SparsePrefillOptions = {},
): Tensor {
  const { gpu } = q;
  const n = q.shape[2] as number;
  return gpu.tidy(() => {
    const { indices, counts } = maskPositions(important.reshape([1, n]));
    const positions = indices.reshape([n]);
    const { output } = attention(
      gatherTokens(q, positions),
      gatherTokens(denseRows(keys, n), positions),
      gatherTokens(denseRows(values, n), positions),
      { ...options, causal: true, queryOffset: 0, keyLength: counts, queryLength: counts },
    );
    const [, heads, , size] = q.shape as [number, number, number, number];
    const result = gpu.zeros([n, heads, size]);
    scatterRows(result, positions, contiguous(output.transpose(0, 2, 1, 3)).reshape([n, heads, size]));
    return result.reshape([1, n, heads, size]).transpose(0, 2, 1, 3);
  });
}
