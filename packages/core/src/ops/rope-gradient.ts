import type { Tensor } from '../tensor/tensor.ts';
import { negate } from './elementwise.ts';
import { type RopeOptions, rope } from './rope.ts';
import type { RopeTable } from './rope-table.ts';

/**
 * The gradient of {@link rope}: the rotation back. With an attention factor it is the transpose, which keeps the factor.
 *
 * @param gradient floats [N, H, D] or [B, N, H, D]
 * @returns f32, same shape
 */
export function ropeGradient(gradient: Tensor, table: RopeTable, options: RopeOptions = {}): Tensor {
  return gradient.gpu.tidy(() => rope(gradient, { ...table, sin: negate(table.sin) }, options));
}
