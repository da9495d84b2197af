import { silu, type Tensor } from '@saccade/core';
import { project } from '../../architectures/transformer/project.ts';
import type { EmbedderWeights } from './weights.ts';

/** Two linear layers with an activation between them. */
export function embed(x: Tensor, { first, second }: EmbedderWeights, activation: (x: Tensor) => Tensor = silu): Tensor {
  return project(activation(project(x, first)), second);
}
