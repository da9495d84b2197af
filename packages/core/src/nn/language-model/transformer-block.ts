import { add, type Value } from '../../autodiff/index.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import { RmsNorm } from '../modules/norm.ts';
import type { LayerContext, TokenMixer } from './token-mixer.ts';

/** A module of one input: a token's features to its features. */
export abstract class TokenModule extends Module {
  /** @param x f32 [B, N, hiddenSize] @returns the same shape */
  abstract forward(x: Value): Value;
}

/**
 * A layer whose branches read the normed residual stream and are added to it: `x + self_attn(norm(x))`, then `x + mlp(norm(x))`. Names
 * as in Llama's checkpoints.
 */
export class TransformerBlock extends Module {
  readonly input_layernorm: RmsNorm;
  readonly self_attn: TokenMixer;
  readonly post_attention_layernorm: RmsNorm;
  readonly mlp: TokenModule;

  constructor(
    init: Initializer,
    sizes: { readonly hiddenSize: number; readonly normEpsilon?: number },
    branches: { readonly attention: TokenMixer; readonly mlp: TokenModule },
  ) {
    super();
    const norm = () => new RmsNorm(init, { size: sizes.hiddenSize, epsilon: sizes.normEpsilon ?? 1e-5 });
    this.input_layernorm = norm();
    this.self_attn = branches.attention;
    this.post_attention_layernorm = norm();
    this.mlp = branches.mlp;
  }

  /** @param x f32 [B, N, hiddenSize] @returns the same shape */
  forward(x: Value, context: LayerContext): Value {
    return x.gpu.tidy(() => {
      const mixed = add(x, context.drop(this.self_attn.forward(this.input_layernorm.forward(x), context)));
      return add(mixed, context.drop(this.mlp.forward(this.post_attention_layernorm.forward(mixed))));
    });
  }
}
