import { add, type LayerActivation, type MethodRun, type Tensor } from '@saccade/core';
import type { TransformerConfig } from '../../weights/model-config.ts';
import { feedForward } from './feed-forward.ts';
import { norm } from './norm.ts';
import type { RotaryPositions } from './positions.ts';
import { project } from './project.ts';
import { selfAttention } from './self-attention.ts';
import type { LayerWeights, NormWeights, ProjectionWeights } from './weights.ts';

/** What one layer of one pass works with. */
export interface LayerContext {
  readonly config: TransformerConfig;
  /** Number of the layer, 0-based. */
  readonly index: number;
  readonly weights: LayerWeights;
  readonly run: MethodRun;
  readonly rotary: RotaryPositions | undefined;
}

/** A branch of a layer: its output, the residual added where one is given. */
interface Branch {
  readonly name: 'attention' | 'mlp';
  readonly run: (input: Tensor, residual?: Tensor) => Tensor;
}

/** One transformer layer over x [N, E]. */
export function transformerLayer(context: LayerContext, x: Tensor): Tensor {
  const { config, index, weights, run } = context;
  const attention: Branch = {
    name: 'attention',
    run: (input, residual) =>
      projectOut(context, 'attention.output', selfAttention(context, input), weights.output, residual),
  };
  const mlp: Branch = {
    name: 'mlp',
    run: (input, residual) =>
      projectOut(
        context,
        'mlp.output',
        run.activation(index, 'mlp.post', feedForward(config, weights, input)),
        weights.down,
        residual,
      ),
  };
  if (config.parallelBranches) {
    const attended = attention.run(branchInput(context, attention, x, weights.attentionNorm), x);
    return mlp.run(branchInput(context, mlp, x, weights.mlpNorm), attended);
  }
  const attended = addBranch(context, attention, x, weights.attentionNorm, weights.attentionPostNorm);
  const mid = run.activation(index, 'residual.mid', attended);
  return addBranch(context, mlp, mid, weights.mlpNorm, weights.mlpPostNorm);
}

/** x plus a branch, with the norms where the network has them. */
function addBranch(context: LayerContext, branch: Branch, x: Tensor, first: NormWeights, post?: NormWeights): Tensor {
  const { config, index, run } = context;
  if (config.norm.placement === 'after') {
    return norm(branch.run(run.activation(index, `${branch.name}.input`, x), x), first, config.norm);
  }
  const input = branchInput(context, branch, x, first);
  if (!post) return branch.run(input, x);
  const name = `${branch.name}.output` as const;
  if (!run.watches(index, name)) return norm(branch.run(input), post, config.norm, x);
  return add(x, run.activation(index, name, norm(branch.run(input), post, config.norm)));
}

function branchInput({ config, index, run }: LayerContext, { name }: Branch, x: Tensor, weights: NormWeights): Tensor {
  return run.activation(index, `${name}.input`, norm(x, weights, config.norm));
}

/** The last projection of a branch; it adds the residual itself unless somebody watches the branch's output. */
function projectOut(
  { index, run }: LayerContext,
  name: LayerActivation,
  x: Tensor,
  weights: ProjectionWeights,
  residual?: Tensor,
): Tensor {
  if (!residual || !run.watches(index, name)) return project(x, weights, residual);
  return add(residual, run.activation(index, name, project(x, weights)));
}
