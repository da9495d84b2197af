import { scale, type Tensor, tanh } from '@saccade/core';
import type { TransformerConfig } from '../../weights/model-config.ts';
import { activate } from './feed-forward.ts';
import { norm } from './norm.ts';
import { project } from './project.ts';
import type { HeadWeights } from './weights.ts';

/** Logits [N, V] of hidden rows [N, E]. */
export function outputHead(config: TransformerConfig, { transform, projection }: HeadWeights, hidden: Tensor): Tensor {
  const rows = transform
    ? norm(activate(project(hidden, transform.projection), config.activation), transform.norm, config.norm)
    : hidden;
  const logits = project(rows, projection);
  const { logitSoftCap: cap } = config;
  return cap === undefined ? logits : scale(tanh(scale(logits, 1 / cap)), cap);
}
