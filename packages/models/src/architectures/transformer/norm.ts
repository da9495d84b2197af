import { layerNorm, rmsNorm, type Tensor } from '@saccade/core';
import type { NormConfig } from '../../weights/model-config.ts';
import type { NormWeights } from './weights.ts';

/** The network's norm over the last axis of x, plus a residual where there is one. */
export function norm(
  x: Tensor,
  { weight, bias }: NormWeights,
  { kind, epsilon }: NormConfig,
  residual?: Tensor,
): Tensor {
  const options = { epsilon, ...(residual ? { residual } : {}) };
  return kind === 'rms' ? rmsNorm(x, weight, options) : layerNorm(x, weight, bias, options);
}
