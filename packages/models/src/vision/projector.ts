import { gelu, layerNorm, type Tensor } from '@saccade/core';
import { activate } from '../architectures/transformer/feed-forward.ts';
import { project } from '../architectures/transformer/project.ts';
import type { NormWeights, ProjectionWeights } from '../architectures/transformer/weights.ts';
import type { ProjectorConfig } from './vision-config.ts';

export interface ProjectorWeights {
  readonly norm?: NormWeights;
  readonly layers: readonly ProjectionWeights[];
}

/**
 * Features of patches as rows of the language model.
 * @param features f32 [patches, vision's size], the patches of a square one behind the other
 * @param group Patches along the edge of a square.
 * @returns f32 [squares, hiddenSize]
 */
export function projectFeatures(
  features: Tensor,
  config: ProjectorConfig,
  { norm, layers }: ProjectorWeights,
  group: number,
): Tensor {
  const [first, second] = layers as [ProjectionWeights, ProjectionWeights];
  const joined = (x: Tensor) => x.reshape([-1, group * group * (x.shape[1] as number)]);
  switch (config.kind) {
    case 'mlp':
      return project(activate(project(features, first), config.activation), second);
    case 'shuffle':
      return project(joined(features), first);
    case 'merger': {
      const normed = norm ? layerNorm(features, norm.weight, norm.bias, { epsilon: 1e-6 }) : features;
      return project(gelu(project(joined(normed), first)), second);
    }
  }
}
