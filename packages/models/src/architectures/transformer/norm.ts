import { layerNorm, rmsNorm, type Tensor } from '@saccade/core';
import type { NormConfig } from '../../weights/model-config.ts';
import type { NormWeights } from './weights.ts';

/** The network's norm over the last axis of x. */
export function norm(x: Tensor, { weight, bias }: NormWeights, { kind, epsilon }: NormConfig): Tensor {
  return kind === 'rms' ? rmsNorm(x, weight, { epsilon }) : layerNorm(x, weight, bias, { epsilon });
}
