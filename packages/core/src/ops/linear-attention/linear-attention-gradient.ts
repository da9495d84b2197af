import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { divide, multiply, negate } from '../elementwise.ts';
import { sum } from '../reduce.ts';
import type { ChunkMoments } from './chunk-moments.ts';
import { chunkRowGradients } from './chunk-row-gradients.ts';
import { chunkRows } from './chunk-rows.ts';
import {
  boundState,
  chunkStates,
  type LinearAttentionOptions,
  type LinearAttentionResult,
} from './linear-attention.ts';
import { chunkSizes } from './sizes.ts';

/** f32 in the shapes of q, k and v. */
export interface LinearAttentionGradients {
  readonly dq: Tensor;
  readonly dk: Tensor;
  readonly dv: Tensor;
}

/**
 * The gradients of {@link linearAttention}, linear in N as it is: dQ by the states that the chunks begin with, dK and dV by those of
 * queries and gradients that come behind. A state that was given is a constant, and one that was returned has no gradient.
 *
 * With z the normalizer and y the output, the gradient of weight (i, j) is `g_i . v_j / z_i - g_i . y_i / z_i`: linear attention again,
 * whose values have one more number.
 *
 * @param gradient f32 [B, H, N, Dv], of the output
 * @param result what the forward pass gave
 * @param options those of the forward pass
 */
export function linearAttentionGradient(
  gradient: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { output, normalizer }: LinearAttentionResult,
  options: LinearAttentionOptions = {},
): LinearAttentionGradients {
  const { gpu } = q;
  const sizes = chunkSizes('linearAttentionGradient', q, v, options);
  if (q.size === 0) return { dq: gpu.zeros(q.shape), dk: gpu.zeros(k.shape), dv: gpu.zeros(v.shape) };
  return gpu.tidy(() => {
    const [queries, keys, values] = [contiguous(q), contiguous(k), contiguous(v)];
    const { scaled, weights } = ofWeights(gradient, output, normalizer);
    const initial = options.state && boundState(options.state);
    let before: ChunkMoments | undefined = initial;
    let behind: ChunkMoments | undefined;
    if (sizes.chunks > 1) {
      before = chunkStates(sizes, keys, values, { initial }).before;
      behind = chunkStates(sizes, queries, scaled, { weights, reverse: true }).before;
    }
    const dq = chunkRowGradients(sizes, {
      own: queries,
      others: keys,
      ownValues: scaled,
      otherValues: values,
      weights,
      state: before,
    });
    const seenFromBehind = { own: keys, others: queries, state: behind, reverse: true };
    const dk = chunkRowGradients(sizes, { ...seenFromBehind, ownValues: values, otherValues: scaled, weights });
    const { result: dv } = chunkRows(sizes, { ...seenFromBehind, values: scaled });
    return { dq: dq.reshape(q.shape), dk: dk.reshape(k.shape), dv: dv.reshape(v.shape) };
  });
}

/** The gradient of a weight as a product with the value, and what it has beside it. */
function ofWeights(gradient: Tensor, output: Tensor, normalizer: Tensor | undefined) {
  if (!normalizer) return { scaled: contiguous(gradient), weights: undefined };
  const scaled = divide(gradient, normalizer.reshape([...normalizer.shape, 1]));
  return { scaled, weights: contiguous(negate(sum(multiply(scaled, output), { axis: -1 }))) };
}
