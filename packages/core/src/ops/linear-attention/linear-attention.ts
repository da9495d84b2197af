import { ArgumentError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { type ChunkMoments, chunkMoments } from './chunk-moments.ts';
import { chunkRows } from './chunk-rows.ts';
import { chunkScan } from './chunk-scan.ts';
import { type ChunkSizes, checkRows, chunkSizes, type FeatureOptions } from './sizes.ts';
import { checkState, type LinearAttentionState, linearAttentionStateShapes } from './state.ts';

export interface LinearAttentionOptions extends FeatureOptions {
  /** Divide by the sum of the weights. Default true. */
  readonly normalize?: boolean;
  /** Added to that sum. Default 1e-12. */
  readonly epsilon?: number;
  /**
   * Rows that attend to each other directly, a change of the order of additions only. Default 128, more where the states of all chunks
   * would not fit into one binding.
   */
  readonly chunk?: number;
  /** What came before these rows. Default nothing. */
  readonly state?: LinearAttentionState;
  /** Default false. */
  readonly returnState?: boolean;
}

/** The caller owns all tensors (in a scope: the scope does). */
export interface LinearAttentionResult {
  /** f32 [B, H, N, Dv] */
  readonly output: Tensor;
  /** The sums that the output was divided by, f32 [B, H, N]. */
  readonly normalizer?: Tensor;
  /** Behind the last row, with `returnState`. */
  readonly state?: LinearAttentionState;
}

export const defaultEpsilon = 1e-12;

/** States that the chunks begin with, and the one that the last ends with. */
export function chunkStates(
  sizes: ChunkSizes,
  x: Tensor,
  values: Tensor,
  options: {
    readonly weights?: Tensor | undefined;
    readonly initial?: ChunkMoments | undefined;
    readonly reverse?: boolean;
    readonly final?: boolean;
  } = {},
): { readonly before: ChunkMoments; readonly end: ChunkMoments | undefined } {
  const { weights, initial, reverse = false, final = false } = options;
  const before = chunkMoments(sizes, x, values, weights);
  const products = chunkScan(before.products, { reverse, initial: initial?.products, final });
  const sums = chunkScan(before.sums, { reverse, initial: initial?.sums, final });
  return { before, end: products && sums && { products, sums } };
}

/** A state of the caller's as a kernel binds it. */
export function boundState(state: LinearAttentionState): ChunkMoments {
  return { products: contiguous(state.kv), sums: contiguous(state.k) };
}

/**
 * Causal linear attention: row i gets `sum_{j <= i} phi(q_i) . phi(k_j) v_j`, divided by the sum of these weights. Time and memory
 * are linear in N: rows of a chunk see each other by scores, all earlier ones through a state of fixed size (Katharopoulos et al.,
 * 2020, section 3.4; chunks as in Hua et al., "Transformer Quality in Linear Time", 2022, section 3.3). No feature of a row is ever
 * stored. At most four dispatches, one where a single chunk needs no state.
 *
 * @param q f32 [B, H, N, D], D from 1 to 256
 * @param k f32 [B, H, N, D]
 * @param v f32 [B, H, N, Dv], Dv from 1 to 256
 * @throws ShapeError for other shapes or dtypes; ArgumentError for an option out of its range.
 */
export function linearAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: LinearAttentionOptions = {},
): LinearAttentionResult {
  const { normalize = true, epsilon = defaultEpsilon, state: given, returnState = false } = options;
  checkRows('linearAttention', q, k, v);
  if (!(epsilon >= 0)) throw new ArgumentError('linearAttention: epsilon', epsilon, 'a number >= 0');
  const { gpu } = q;
  const sizes = chunkSizes('linearAttention', q, v, options);
  const [batch, heads, rows] = q.shape as [number, number, number];
  const { size, valueSize, map: featureMap } = sizes;
  const shapes = linearAttentionStateShapes({ batch, heads, size, valueSize, featureMap });
  if (given) checkState('linearAttention', given, shapes);
  if (q.size === 0) {
    return {
      output: gpu.empty(v.shape),
      ...(normalize ? { normalizer: gpu.empty(q.shape.slice(0, 3)) } : {}),
      ...(returnState
        ? {
            state: given
              ? { kv: given.kv.alias(), k: given.k.alias() }
              : { kv: gpu.zeros(shapes.kv), k: gpu.zeros(shapes.k) },
          }
        : {}),
    };
  }
  return gpu.tidy(() => {
    const [own, others, values] = [contiguous(q), contiguous(k), contiguous(v)];
    const initial = given && boundState(given);
    const carried = sizes.chunks > 1 || given !== undefined;
    const states =
      sizes.chunks > 1 || returnState ? chunkStates(sizes, others, values, { initial, final: returnState }) : undefined;
    const { result, normalizer } = chunkRows(sizes, {
      own,
      others,
      values,
      state: carried ? (states?.before ?? initial) : undefined,
      epsilon: normalize ? epsilon : undefined,
    });
    const end = states?.end;
    return {
      output: result.reshape([batch, heads, rows, valueSize]),
      ...(normalizer ? { normalizer: normalizer.reshape([batch, heads, rows]) } : {}),
      ...(end ? { state: { kv: end.products.reshape(shapes.kv), k: end.sums.reshape(shapes.k) } } : {}),
    };
  });
}
