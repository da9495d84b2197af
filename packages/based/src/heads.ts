import { contiguous } from '@saccade/core';
import type { Value } from '@saccade/core/autodiff';

/** Features of H heads side by side, [B, N, H D], as [B, H, N, D]: a view. */
export function splitHeads(x: Value, heads: number): Value {
  const [batch, rows, features] = x.shape as [number, number, number];
  return x.reshape([batch, rows, heads, features / heads]).transpose(0, 2, 1, 3);
}

/** [B, H, N, D] as [B, N, H D]. */
export function mergeHeads(x: Value): Value {
  const [batch, heads, rows, size] = x.shape as [number, number, number, number];
  const turned = x.transpose(0, 2, 1, 3);
  // A tracked value copies by itself where it must.
  return ('tape' in turned ? turned : contiguous(turned)).reshape([batch, rows, heads * size]);
}
