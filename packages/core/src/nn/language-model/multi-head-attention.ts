import { attention, rope, type Value } from '../../autodiff/index.ts';
import type { Initializer } from '../initializer.ts';
import { Linear } from '../modules/linear.ts';
import { RmsNorm } from '../modules/norm.ts';
import { type LayerContext, TokenMixer } from './token-mixer.ts';

export interface MultiHeadAttentionOptions {
  readonly hiddenSize: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key/value heads, Hkv, which divide H. Default H. */
  readonly kvHeads?: number;
  /** D. Default hiddenSize / H. */
  readonly headSize?: number;
  /** Queries and keys rotate by their positions. Default true. */
  readonly rotary?: boolean;
  /** Keys that a query sees, its own among them. Default: all earlier ones. */
  readonly slidingWindow?: number;
  /** Norms of queries and keys, per head, named as in Qwen3. Default false. */
  readonly queryKeyNorm?: boolean;
  /** Default 1e-5. */
  readonly normEpsilon?: number;
  /** Standard deviation of the matrices at the beginning. Default: as `Linear`. */
  readonly initializerRange?: number;
}

/** Queries f32 [B, H, N, D], keys and values f32 [B, Hkv, N, D]; views whose last axis is dense. */
export interface ProjectedHeads {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

/**
 * Causal attention with grouped queries (Ainslie et al., 2023) and rotary positions, through the attention engine. Names as in
 * Llama's checkpoints. Variants override a part.
 */
export class MultiHeadAttention extends TokenMixer {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;
  readonly q_norm: RmsNorm | undefined;
  readonly k_norm: RmsNorm | undefined;
  readonly #options: MultiHeadAttentionOptions;
  readonly #headSize: number;

  constructor(init: Initializer, options: MultiHeadAttentionOptions) {
    super();
    const { hiddenSize, heads, kvHeads = heads, headSize = hiddenSize / heads, initializerRange: deviation } = options;
    const matrix = (inputs: number, outputs: number) => new Linear(init, { inputs, outputs, bias: false, deviation });
    this.q_proj = matrix(hiddenSize, heads * headSize);
    this.k_proj = matrix(hiddenSize, kvHeads * headSize);
    this.v_proj = matrix(hiddenSize, kvHeads * headSize);
    this.o_proj = matrix(heads * headSize, hiddenSize);
    const norm = () => new RmsNorm(init, { size: headSize, epsilon: options.normEpsilon ?? 1e-5 });
    this.q_norm = options.queryKeyNorm ? norm() : undefined;
    this.k_norm = options.queryKeyNorm ? norm() : undefined;
    this.#options = options;
    this.#headSize = headSize;
  }

  /** @param x f32 [B, N, hiddenSize] @returns the same shape */
  forward(x: Value, context: LayerContext): Value {
    return x.gpu.tidy(() => this.output(this.attend(this.project(x, context))));
  }

  /** Queries, keys and values, normed and rotated. */
  project(x: Value, context: LayerContext): ProjectedHeads {
    return {
      q: this.#rotate(this.projected('q', this.#heads(this.q_proj, x, this.q_norm), x), context),
      k: this.#rotate(this.projected('k', this.#heads(this.k_proj, x, this.k_norm), x), context),
      v: this.projected('v', this.#heads(this.v_proj, x), x).transpose(0, 2, 1, 3),
    };
  }

  /** softmax(q k^T / sqrt(D)) v over the keys that each query sees. @returns f32 [B, H, N, D] */
  attend({ q, k, v }: ProjectedHeads): Value {
    const { slidingWindow } = this.#options;
    return attention(q, k, v, { causal: true, ...(slidingWindow === undefined ? {} : { slidingWindow }) });
  }

  /** Puts the heads f32 [B, H, N, D] together and projects them. @returns f32 [B, N, hiddenSize] */
  output(heads: Value): Value {
    const [batches, , tokens] = heads.shape as [number, number, number, number];
    return this.o_proj.forward(heads.transpose(0, 2, 1, 3).reshape([batches, tokens, -1]));
  }

  /**
   * What {@link project} goes on with before it rotates: the heads as they are.
   *
   * @param heads f32 [B, N, H or Hkv, D], normed
   * @param _x f32 [B, N, hiddenSize], which they were projected from
   * @returns the same shape as `heads`
   */
  protected projected(_part: 'q' | 'k' | 'v', heads: Value, _x: Value): Value {
    return heads;
  }

  #heads(projection: Linear, x: Value, norm?: RmsNorm): Value {
    const [batches, tokens] = x.shape as [number, number];
    const heads = projection.forward(x).reshape([batches, tokens, -1, this.#headSize]);
    return norm ? norm.forward(heads) : heads;
  }

  #rotate(heads: Value, context: LayerContext): Value {
    return (this.#options.rotary === false ? heads : rope(heads, context.rope)).transpose(0, 2, 1, 3);
  }
}
