import { linear, type Tensor } from '@saccade/core';
import type { ProjectionWeights } from './weights.ts';

/** x through a linear layer, plus its bias and a residual where there are such. */
export function project(x: Tensor, { weight, bias }: ProjectionWeights, residual?: Tensor): Tensor {
  return linear(x, weight, { ...(bias ? { bias } : {}), ...(residual ? { residual } : {}) });
}
