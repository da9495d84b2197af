import {
  type AttentionGradients,
  add,
  contiguous,
  defineOptions,
  type GivenOptions,
  matmul,
  minimum,
  parseOptions,
  relu,
  ShapeError,
  scale,
  softmax,
  softmaxGradient,
  subtract,
  sum,
  type Tensor,
} from '@saccade/core';
import { flashAttentionOptions } from './options.ts';
import { windowOf } from './window.ts';

const { scale: scaleOption, causal, window } = flashAttentionOptions;

/** Options of {@link standardAttention}: those of FlashAttention-2 that a plain softmax has. */
export const standardAttentionOptions = defineOptions({ scale: scaleOption, causal, window });

export type StandardAttentionOptions = GivenOptions<typeof standardAttentionOptions>;

/** What {@link standardAttention} returns. */
export interface StandardAttentionResult {
  /** f32 [B, H, N, D] */
  readonly out: Tensor;
  /** f32 [B, Hkv, H / Hkv, N, M], which the backward pass reads. */
  readonly probabilities: Tensor;
}

/** Far below every score, and what `softmax` takes for masked. */
const masked = -1e38;

/**
 * Attention in three kernels with the N x M matrices in memory (paper, section 2.2): what FlashAttention is compared with. For
 * measurements; use `flashAttention`. A mask is one more N x M matrix and one more pass.
 *
 * @param q floats [B, H, N, D]
 * @param k floats [B, Hkv, M, D]
 * @param v as `k`
 * @throws OptionError; ShapeError where shapes do not fit; LimitError where a score matrix is larger than the device binds at once.
 */
export function standardAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: StandardAttentionOptions = {},
): StandardAttentionResult {
  const resolved = parseOptions(standardAttentionOptions, options);
  const groups = new HeadGroups(q, k);
  return q.gpu.tidy(() => {
    const factor = resolved.scale ?? 1 / Math.sqrt(groups.headSize);
    const probabilities = q.gpu.tidy(() => {
      const scores = matmul(scale(groups.ofQueries(q), factor), groups.ofKeys(k).transpose());
      const bias = maskBias(q, groups.queries, groups.keys, windowOf(resolved));
      return softmax(bias ? add(scores, bias) : scores);
    });
    return { out: matmul(probabilities, groups.ofKeys(v)).reshape(q.shape), probabilities };
  });
}

/**
 * Gradients of {@link standardAttention}, with dP and dS as N x M matrices in memory.
 *
 * @param dOut f32 [B, H, N, D]
 * @param probabilities As the forward call returned them; masked pairs hold zeros, so the mask is not needed again.
 * @throws OptionError, ShapeError, LimitError
 */
export function standardAttentionBackward(
  dOut: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  probabilities: Tensor,
  options: StandardAttentionOptions = {},
): AttentionGradients {
  const resolved = parseOptions(standardAttentionOptions, options);
  const groups = new HeadGroups(q, k);
  const factor = resolved.scale ?? 1 / Math.sqrt(groups.headSize);
  return q.gpu.tidy(() => {
    const gradient = groups.ofQueries(dOut);
    const dv = sum(matmul(probabilities.transpose(), gradient), { axis: 2 });
    const scoreGradient = q.gpu.tidy(() =>
      softmaxGradient(probabilities, matmul(gradient, groups.ofKeys(v).transpose())),
    );
    const dq = scale(matmul(scoreGradient, groups.ofKeys(k)), factor).reshape(q.shape);
    const dk = scale(sum(matmul(scoreGradient.transpose(), groups.ofQueries(q)), { axis: 2 }), factor);
    return { dq, dk, dv };
  });
}

/** Query heads beside the key/value head that they share: [B, Hkv, H / Hkv, rows, D]. */
class HeadGroups {
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
  readonly #heads: readonly [number, number, number];

  constructor(q: Tensor, k: Tensor) {
    const [batches = 0, heads = 0, queries = 0, headSize = 0] = q.shape;
    const [keyBatches, kvHeads = 0, keys = 0, keySize] = k.shape;
    const fits = q.rank === 4 && k.rank === 4 && keyBatches === batches && keySize === headSize;
    if (!fits || kvHeads === 0 || heads % kvHeads !== 0) {
      throw new ShapeError(
        'standardAttention',
        `q [${q.shape}] and k [${k.shape}] do not fit: [B, H, N, D] and [B, Hkv, M, D] with H a multiple of Hkv.`,
      );
    }
    this.#heads = [batches, kvHeads, heads / kvHeads];
    this.queries = queries;
    this.keys = keys;
    this.headSize = headSize;
  }

  ofQueries(tensor: Tensor): Tensor {
    return contiguous(tensor).reshape([...this.#heads, this.queries, this.headSize]);
  }

  ofKeys(tensor: Tensor): Tensor {
    const [batches, kvHeads] = this.#heads;
    return contiguous(tensor).reshape([batches, kvHeads, 1, this.keys, this.headSize]);
  }
}

/** f32 [N, M]: 0 where the query sees the key; undefined where all see all. */
function maskBias(
  { gpu }: Tensor,
  queries: number,
  keys: number,
  { left, right }: ReturnType<typeof windowOf>,
): Tensor | undefined {
  if (!Number.isFinite(left) && !Number.isFinite(right)) return undefined;
  return gpu.tidy(() => {
    const positions = (size: number, first: number) => Array.from({ length: size }, (_, index) => first + index);
    const query = gpu.tensor(positions(queries, keys - queries), [queries, 1]);
    const key = gpu.tensor(positions(keys, 0), [1, keys]);
    const distance = subtract(key, query);
    // Distances are whole, so what lies outside exceeds its bound by at least 1.
    const over = [
      ...(Number.isFinite(right) ? [relu(scale(distance, 1, -right))] : []),
      ...(Number.isFinite(left) ? [relu(scale(distance, -1, -left))] : []),
    ];
    return scale(minimum(over.reduce(add), gpu.tensor([1], [1, 1])), masked);
  });
}
