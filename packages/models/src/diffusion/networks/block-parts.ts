import { gelu, type MethodRun, type Tensor } from '@saccade/core';
import { norm } from '../../architectures/transformer/norm.ts';
import { project } from '../../architectures/transformer/project.ts';
import type { DiffusionTransformerConfig } from '../config/transformer-config.ts';
import { addGated, type RowGroups } from './modulation.ts';
import type { FeedForwardWeights, SelfAttentionWeights } from './weights.ts';

/** Where a block stands in a pass. */
export interface BlockPlace {
  readonly config: Pick<DiffusionTransformerConfig, 'heads' | 'headSize' | 'activation'>;
  readonly run: MethodRun;
  /** Number of the block, 0-based. */
  readonly index: number;
  /** Which modulation each token gets. */
  readonly rowGroups: RowGroups;
}

/** Epsilon of the norms of queries and keys. */
const headNorm = { kind: 'layer', epsilon: 1e-6, placement: 'before' } as const;

/**
 * Bidirectional self-attention of a block, through the run and its methods: x [B N, E] gives [B N, E].
 * @param rotate Embeds positions in queries and keys [B N, H, D].
 */
function selfAttention(
  { config, run, index }: BlockPlace,
  x: Tensor,
  { qkv, output, queryNorm, keyNorm }: SelfAttentionWeights,
  rotate: (heads: Tensor) => Tensor,
): Tensor {
  const { heads, headSize } = config;
  const [rows, size] = [x.shape[0] as number, heads * headSize];
  const projected = project(x, qkv);
  const part = (at: number) => projected.slice(1, at * size, (at + 1) * size).reshape([rows, heads, headSize]);
  const [q, k] = [part(0), part(1)];
  const before = run.beforeRope(
    index,
    { q: queryNorm ? norm(q, queryNorm, headNorm) : q, k: keyNorm ? norm(k, keyNorm, headNorm) : k, v: part(2) },
    x,
  );
  const embedded = { q: rotate(before.q), k: rotate(before.k), v: before.v };
  return project(run.attention(index, embedded, x, { causal: false }), output);
}

/** The MLP of a block: x [B N, E] gives [B N, E]. */
function feedForward({ config, run, index }: BlockPlace, x: Tensor, { up, down }: FeedForwardWeights): Tensor {
  const inner = gelu(project(x, up), { approximate: config.activation === 'geluTanh' ? 'tanh' : 'none' });
  return project(run.activation(index, 'mlp.post', inner), down);
}

/**
 * x [B N, E] plus self-attention of its norm.
 * @param gate Factors of the branch, [G, E].
 * @param rotate Embeds positions in queries and keys [B N, H, D].
 */
export function attentionBranch(
  place: BlockPlace,
  x: Tensor,
  normed: Tensor,
  weights: SelfAttentionWeights,
  gate: Tensor,
  rotate: (heads: Tensor) => Tensor = (heads) => heads,
): Tensor {
  const { run, index, rowGroups } = place;
  const attended = selfAttention(place, run.activation(index, 'attention.input', normed), weights, rotate);
  const mid = addGated(x, attended, { run, index, name: 'attention.output', gate, rowGroups });
  return run.activation(index, 'residual.mid', mid);
}

/** x [B N, E] plus the MLP of its norm, times its gate. */
export function feedForwardBranch(
  place: BlockPlace,
  x: Tensor,
  normed: Tensor,
  weights: FeedForwardWeights,
  gate: Tensor,
): Tensor {
  const { run, index, rowGroups } = place;
  const fed = feedForward(place, run.activation(index, 'mlp.input', normed), weights);
  return addGated(x, fed, { run, index, name: 'mlp.output', gate, rowGroups });
}
