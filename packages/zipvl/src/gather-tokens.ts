import { contiguous, gather, type Tensor } from '@saccade/core';

/** Tokens at these positions, [1, H, N, D] -> [1, H, positions, D]; positions past the last token give zeros. */
export function gatherTokens(x: Tensor, positions: Tensor): Tensor {
  const rows = contiguous(x.transpose(0, 2, 1, 3));
  const [, n, heads, size] = rows.shape as [number, number, number, number];
  return gather(rows.reshape([n, heads, size]), positions)
    .reshape([1, positions.size, heads, size])
    .transpose(0, 2, 1, 3);
}
