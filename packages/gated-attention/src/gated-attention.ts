import { parseOptions, type Tensor, type WhereToLook } from '@saccade/core';
import { mean, Tracked, type Value } from '@saccade/core/autodiff';
import {
  type Initializer,
  type LayerContext,
  Linear,
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  type Parameter,
  RmsNorm,
} from '@saccade/core/nn';
import { activateGate, applyGate } from './apply-gate.ts';
import { type GatedSizes, gateShape } from './gate.ts';
import { type GatedAttentionOptions, gatedAttentionOptions, type ResolvedGatedAttentionOptions } from './options.ts';

/** What a layer shows of a forward pass. The tensors live until the observer returns. */
export type ObservedAttention =
  /** Queries f32 [B, H, N, D] and keys f32 [B, Hkv, N, D], as attention gets them, and what they see. */
  | { readonly queries: Tensor; readonly keys: Tensor; readonly where: Pick<WhereToLook, 'causal' | 'slidingWindow'> }
  /** The activated gate: f32 [B or 1, N or 1, heads or 1, D or 1]. */
  | { readonly gate: Tensor };

/** Where the projected heads stand in the paper's figure 1. */
const positions = { q: 'g4', k: 'g3', v: 'g2' } as const;

/**
 * Attention with a gate (Qiu et al., 2025, section 2.2), by default `W_o (softmax(q k^T / sqrt(D)) v * sigmoid(W_g x))`, for every head and
 * element. The gate sees what the queries are made of; it takes no norm and no rotation, and nothing of it is cached. Names are
 * those of Llama's and Qwen's checkpoints, the gate's is `gate_proj`.
 */
export class GatedAttention extends MultiHeadAttention {
  /** Source `input`: [heads x (D or 1), hiddenSize] at the gate's position. */
  readonly gate_proj: Linear | undefined;
  /** Source `parameter`: f32 [heads, D or 1], zeros at the beginning. */
  readonly gate_logits: Parameter | undefined;
  /** Source `norm`: over D. */
  readonly gate_norm: RmsNorm | undefined;
  readonly #sizes: GatedSizes;
  readonly #where: Pick<WhereToLook, 'causal' | 'slidingWindow'>;
  readonly #options: ResolvedGatedAttentionOptions;
  #observer: ((seen: ObservedAttention) => void) | undefined;

  /** @throws ArgumentError for sizes or options that do not fit together; OptionError for options out of their range */
  constructor(init: Initializer, given: MultiHeadAttentionOptions & GatedAttentionOptions) {
    const { source, position, granularity, headSpecific, mode, activation, ...attention } = given;
    const { hiddenSize, heads, kvHeads = heads, headSize = hiddenSize / heads } = attention;
    const options = parseOptions(gatedAttentionOptions, {
      source,
      position,
      granularity,
      headSpecific,
      mode,
      activation,
    });
    const sizes = { hiddenSize, heads, kvHeads, headSize };
    const shape = gateShape(sizes, options);
    super(init, attention);
    this.#sizes = sizes;
    this.#options = options;
    const { slidingWindow } = attention;
    this.#where = { causal: true, ...(slidingWindow === undefined ? {} : { slidingWindow }) };
    const { initializerRange: deviation, normEpsilon: epsilon = 1e-5 } = attention;
    const outputs = shape.heads * shape.width;
    this.gate_proj =
      options.source === 'input'
        ? new Linear(init, { inputs: hiddenSize, outputs, bias: false, deviation })
        : undefined;
    this.gate_logits = options.source === 'parameter' ? init.constant([shape.heads, shape.width], 0) : undefined;
    this.gate_norm = options.source === 'norm' ? new RmsNorm(init, { size: shape.headSize, epsilon }) : undefined;
  }

  get sizes(): GatedSizes {
    return this.#sizes;
  }

  /** With all defaults filled in. */
  get options(): ResolvedGatedAttentionOptions {
    return this.#options;
  }

  /** @param x f32 [B, N, hiddenSize], normed @returns the same shape */
  override forward(x: Value, context: LayerContext): Value {
    return x.gpu.tidy(() => {
      const heads = this.project(x, context);
      this.#observer?.({ queries: tensorOf(heads.q), keys: tensorOf(heads.k), where: this.#where });
      const attended = this.attend(heads).transpose(0, 2, 1, 3);
      const output = this.output(this.#gated('g1', attended, x).transpose(0, 2, 1, 3));
      const [batches, tokens, size] = output.shape as [number, number, number];
      return this.#gated('g5', output.reshape([batches, tokens, 1, size]), x).reshape([batches, tokens, size]);
    });
  }

  /** Gates stand behind the norms of queries and keys, which would divide out a gate for a whole head. */
  protected override projected(part: 'q' | 'k' | 'v', heads: Value, x: Value): Value {
    return this.#gated(positions[part], heads, x);
  }

  /**
   * Runs `work`; each forward pass of this layer in it calls `observer` with queries and keys, and with the gate where there is
   * one. Costs the activation of the gate.
   */
  observe<T>(observer: (seen: ObservedAttention) => void, work: () => T): T {
    const before = this.#observer;
    this.#observer = observer;
    try {
      return work();
    } finally {
      this.#observer = before;
    }
  }

  /** `y` [B, N, heads, D] behind the gate, where it stands at this position. */
  #gated(position: ResolvedGatedAttentionOptions['position'], y: Value, x: Value): Value {
    if (position !== this.#options.position) return y;
    if (this.gate_norm) return this.gate_norm.forward(y);
    const logits = this.#logits(y, x);
    if (!logits) return y;
    this.#observer?.({ gate: tensorOf(activateGate(logits, this.#options.activation)) });
    return applyGate(y, logits, this.#options);
  }

  #logits(y: Value, x: Value): Value | undefined {
    const [batches, tokens, heads] = y.shape as [number, number, number];
    let logits: Value;
    if (this.gate_proj) logits = this.gate_proj.forward(x).reshape([batches, tokens, heads, -1]);
    else if (this.gate_logits) logits = this.gate_logits.value.reshape([1, 1, heads, -1]);
    else return this.#options.source === 'self' ? y : undefined;
    return this.#options.headSpecific ? logits : mean(logits, { axis: 2, keepDims: true });
  }
}

function tensorOf(value: Value): Tensor {
  return value instanceof Tracked ? value.tensor : value;
}
