import { add, type KvCache, type MethodRun, type Tensor } from '@saccade/core';
import type { TransformerConfig } from '../../weights/model-config.ts';
import { feedForward } from './feed-forward.ts';
import { norm } from './norm.ts';
import type { RotaryPositions } from './positions.ts';
import { project } from './project.ts';
import { selfAttention } from './self-attention.ts';
import type { LayerWeights, NormWeights } from './weights.ts';

/** What one layer of one pass works with. */
export interface LayerContext {
  readonly config: TransformerConfig;
  /** Number of the layer, 0-based. */
  readonly index: number;
  readonly weights: LayerWeights;
  /** Without one, the tokens of this pass see each other only. */
  readonly cache: KvCache | undefined;
  readonly run: MethodRun;
  /** Position of the first token. */
  readonly start: number;
  readonly rotary: RotaryPositions | undefined;
}

/** A branch of a layer: its output, the residual added where one is given. */
type Branch = (input: Tensor, residual?: Tensor) => Tensor;

/** One transformer layer over x [N, E]. */
export function transformerLayer(context: LayerContext, x: Tensor): Tensor {
  const { config, weights } = context;
  const attention: Branch = (input, residual) => project(selfAttention(context, input), weights.output, residual);
  const mlp: Branch = (input, residual) => project(feedForward(config, weights, input), weights.down, residual);
  if (config.parallelBranches) {
    const attended = attention(norm(x, weights.attentionNorm, config.norm), x);
    return mlp(norm(x, weights.mlpNorm, config.norm), attended);
  }
  const attended = addBranch(config, attention, x, weights.attentionNorm, weights.attentionPostNorm);
  return addBranch(config, mlp, attended, weights.mlpNorm, weights.mlpPostNorm);
}

/** x plus a branch, with the norms where the network has them. */
function addBranch(
  config: TransformerConfig,
  branch: Branch,
  x: Tensor,
  first: NormWeights,
  post?: NormWeights,
): Tensor {
  if (config.norm.placement === 'after') return norm(branch(x, x), first, config.norm);
  const input = norm(x, first, config.norm);
  return post ? add(x, norm(branch(input), post, config.norm)) : branch(input, x);
}
