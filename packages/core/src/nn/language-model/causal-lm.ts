import { crossEntropy, dropout, linear, scale, sum, type Value } from '../../autodiff/index.ts';
import { ArgumentError, ShapeError } from '../../errors.ts';
import type { CrossEntropyOptions } from '../../ops/cross-entropy.ts';
import { type RopeTable, ropeTable } from '../../ops/rope-table.ts';
import type { Seed } from '../../random/seed.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import { Embedding } from '../modules/embedding.ts';
import { Linear } from '../modules/linear.ts';
import { GatedMlp } from '../modules/mlp.ts';
import { RmsNorm } from '../modules/norm.ts';
import { recomputeModule } from '../recompute-module.ts';
import { type CausalLmConfig, type FullCausalLmConfig, fullCausalLmConfig } from './config.ts';
import { MultiHeadAttention } from './multi-head-attention.ts';
import type { LayerContext, TokenMixer } from './token-mixer.ts';
import { type TokenModule, TransformerBlock } from './transformer-block.ts';

/** Makes the parts of each layer. They get the initializer so that one seed makes the whole model. */
export interface CausalLmParts {
  /** Default {@link MultiHeadAttention} with the configuration's sizes. */
  readonly attention?: (layer: number, config: FullCausalLmConfig, init: Initializer) => TokenMixer;
  /** Default {@link GatedMlp} with the configuration's sizes. */
  readonly mlp?: (layer: number, config: FullCausalLmConfig, init: Initializer) => TokenModule;
}

export interface CausalLmForwardOptions {
  /** In place of the configuration's, such as one of more positions. The caller's, and to live until the backward pass is over. */
  readonly rope?: RopeTable;
  /** Whether each layer is computed again in the backward pass, which saves most of the memory for a third more work. Default false. */
  readonly recompute?: boolean;
  /**
   * On the embedding and on what each branch adds to the residual stream (Srivastava et al., 2014). Which elements: a function
   * of seed, step and place. Default: none.
   */
  readonly dropout?: { readonly rate: number; readonly seed?: Seed; readonly step: number };
}

export interface CausalLmLossOptions extends CausalLmForwardOptions, CrossEntropyOptions {
  /** How many targets count: their losses are added up and divided by this. Default: all, B N. */
  readonly counted?: number;
}

/** The layers, named as in Llama's checkpoints. */
class Decoder extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: readonly TransformerBlock[];
  readonly norm: RmsNorm;

  constructor(init: Initializer, config: FullCausalLmConfig, parts: Required<CausalLmParts>) {
    super();
    const { hiddenSize, vocabularySize, layers, normEpsilon, initializerRange } = config;
    this.embed_tokens = new Embedding(init, {
      vocabulary: vocabularySize,
      size: hiddenSize,
      deviation: initializerRange,
    });
    this.layers = Array.from({ length: layers }, (_, layer) => {
      const branches = { attention: parts.attention(layer, config, init), mlp: parts.mlp(layer, config, init) };
      return new TransformerBlock(init, config, branches);
    });
    this.norm = new RmsNorm(init, { size: hiddenSize, epsilon: normEpsilon });
  }
}

const standardParts: Required<CausalLmParts> = {
  attention: (_, config, init) => new MultiHeadAttention(init, config),
  mlp: (_, { hiddenSize, intermediateSize, initializerRange }, init) =>
    new GatedMlp(init, { size: hiddenSize, hidden: intermediateSize, deviation: initializerRange }),
};

/**
 * A small causal language model to train: Llama's layers, whose attention and MLP can be replaced. Its safetensors file has the
 * names of `LlamaForCausalLM`, so that it loads into transformers and `@saccade/models` with `huggingFaceConfig(config)` beside it.
 */
export class CausalLm extends Module {
  readonly model: Decoder;
  readonly lm_head: Linear | undefined;
  readonly #config: FullCausalLmConfig;
  readonly #rope: RopeTable;

  /** @throws ArgumentError for a configuration out of its range */
  constructor(init: Initializer, config: CausalLmConfig, parts: CausalLmParts = {}) {
    super();
    const full = fullCausalLmConfig(config);
    const { vocabularySize, hiddenSize, tieWordEmbeddings, headSize, contextLength, ropeTheta, ropeScaling } = full;
    this.#config = full;
    this.model = new Decoder(init, full, { ...standardParts, ...parts });
    this.lm_head = tieWordEmbeddings
      ? undefined
      : new Linear(init, {
          inputs: hiddenSize,
          outputs: vocabularySize,
          bias: false,
          deviation: full.initializerRange,
        });
    this.#rope = ropeTable(init.gpu, {
      rotarySize: headSize,
      positions: contextLength,
      base: ropeTheta,
      ...(ropeScaling ? { scaling: ropeScaling } : {}),
    });
  }

  /** With all defaults filled in. */
  get config(): FullCausalLmConfig {
    return this.#config;
  }

  /**
   * Logits of the next token at each position.
   *
   * @param ids u32 [B, N], N within the context (of `rope`, where it is given)
   * @returns f32 [B, N, vocabularySize]
   * @throws ShapeError for other ids
   */
  forward(ids: Tensor, options: CausalLmForwardOptions = {}): Value {
    return ids.gpu.tidy(() => {
      const hidden = this.hidden(ids, options);
      return this.lm_head ? this.lm_head.forward(hidden) : linear(hidden, this.model.embed_tokens.weight.value);
    });
  }

  /** The normed residual stream behind the last layer. @returns f32 [B, N, hiddenSize] */
  hidden(ids: Tensor, options: CausalLmForwardOptions = {}): Value {
    const rope = options.rope ?? this.#rope;
    if (ids.rank !== 2 || ids.dtype !== 'u32' || (ids.shape[1] as number) > rope.positions) {
      throw new ShapeError('CausalLm', `ids are ${ids.dtype}[${ids.shape}]; it needs u32 [B, N <= ${rope.positions}].`);
    }
    return ids.gpu.tidy(() => {
      const { embed_tokens, layers, norm } = this.model;
      let x = contextOf(-1, rope, options).drop(embed_tokens.forward(ids));
      layers.forEach((block, layer) => {
        const forward = (input: Value) => block.forward(input, contextOf(layer, rope, options));
        x = options.recompute ? recomputeModule(block, x, forward) : forward(x);
      });
      return norm.forward(x);
    });
  }

  /**
   * Mean cross-entropy in nats of the targets.
   *
   * @param ids u32 [B, N]
   * @param targets u32 [B, N]: the token behind each; `ignoreIndex` where none counts
   * @returns f32 []
   * @throws as {@link forward}; ShapeError for targets of another shape
   */
  loss(ids: Tensor, targets: Tensor, options: CausalLmLossOptions = {}): Value {
    const { counted = targets.size, rope, recompute, dropout: drop, ...rest } = options;
    if (!(counted > 0)) throw new ArgumentError('CausalLm: counted', counted, 'a number above 0');
    return ids.gpu.tidy(() => {
      const logits = this.forward(ids, options);
      const rows = logits.reshape([targets.size, this.#config.vocabularySize]);
      return scale(sum(crossEntropy(rows, targets.reshape([targets.size]), rest)), 1 / counted);
    });
  }

  override dispose(): void {
    super.dispose();
    this.#rope.dispose();
  }
}

/** A layer's context; its dropout begins at the same numbers each time, so that a layer can be computed again. */
function contextOf(layer: number, rope: RopeTable, { dropout: chosen }: CausalLmForwardOptions): LayerContext {
  if (!chosen || chosen.rate === 0) return { layer, rope, drop: (x) => x };
  const { rate, seed = 0, step } = chosen;
  let use = 0;
  // 2^20 steps of 512 layers with eight uses each fill the 2^32 streams of a seed.
  const streamOf = () => (step % 2 ** 20) * 4096 + (layer + 1) * 8 + (use++ % 8);
  return { layer, rope, drop: (x) => dropout(x, { rate, seed, stream: streamOf() }) };
}
