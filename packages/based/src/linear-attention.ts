import {
  type LinearAttentionState,
  linearAttention,
  linearAttentionStep,
  parseOptions,
  ShapeError,
  type Tensor,
} from '@saccade/core';
import { basedOptions } from './options.ts';

/** Settings of one call; see {@link basedOptions}. */
export interface BasedLinearAttentionOptions {
  /** Where it is given, the size that q and k must have. */
  readonly featureDim?: number;
  readonly chunk?: number;
  readonly epsilon?: number;
  /** What came before these rows. */
  readonly state?: LinearAttentionState;
}

/** The caller owns all tensors (in a scope: the scope does). */
export interface BasedLinearAttentionResult {
  /** f32 [B, H, N, dv] */
  readonly out: Tensor;
  /** Behind the last row: sums of phi(k) v^T, f32 [B, H, D, dv], and of phi(k), f32 [B, H, D], D = (f + 1)(f + 2) / 2. */
  readonly state: LinearAttentionState;
}

/**
 * Based's global layer for training and prefill: causal attention with weights 1 + s + s^2 / 2, s = q . k / sqrt(f), over their sum
 * (section 4.1), in time and memory linear in N. To train through it, use `linearAttention` of `@saccade/core/autodiff`.
 *
 * @param q f32 [B, H, N, f]; no rotary embedding, no other scale
 * @param k f32 [B, H, N, f]
 * @param v f32 [B, H, N, dv]
 * @throws ShapeError where shapes do not fit; OptionError for an option out of its range
 */
export function basedLinearAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: BasedLinearAttentionOptions = {},
): BasedLinearAttentionResult {
  const { output, normalizer, state } = linearAttention(q, k, v, {
    ...settings('basedLinearAttention', q, options),
    returnState: true,
  });
  normalizer?.dispose();
  return { out: output, state: state as LinearAttentionState };
}

/**
 * One token behind a state: the state takes it in, then it reads. One dispatch, at the same cost for every length.
 *
 * @param q f32 [B, H, 1, f]
 * @param k f32 [B, H, 1, f]
 * @param v f32 [B, H, 1, dv]
 * @throws as {@link basedLinearAttention}
 */
export function basedDecodeStep(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  state: LinearAttentionState,
  options: Pick<BasedLinearAttentionOptions, 'featureDim' | 'epsilon'> = {},
): BasedLinearAttentionResult {
  const { chunk: _, ...rest } = settings('basedDecodeStep', q, options);
  const step = linearAttentionStep(q, k, v, state, rest);
  return { out: step.output, state: step.state };
}

function settings(operation: string, q: Tensor, { featureDim, state, ...given }: BasedLinearAttentionOptions) {
  const { chunk, epsilon } = parseOptions(basedOptions, given);
  if (featureDim !== undefined && q.shape.at(-1) !== featureDim) {
    throw new ShapeError(operation, `q is [${q.shape}]; its last axis must be featureDim = ${featureDim}.`);
  }
  return { epsilon, ...(chunk === null ? {} : { chunk }), ...(state ? { state } : {}) };
}
