import { type RopeScaling, SaccadeError } from '@saccade/core';

/** Norms of a network: what they compute and where they stand around each branch (attention, MLP) of a layer. */
export interface NormConfig {
  /** RMSNorm (a weight) or layer norm (weight and bias). */
  readonly kind: 'rms' | 'layer';
  readonly epsilon: number;
  /**
   * `before`: x + branch(norm(x)), with a norm after the last layer; `both`: x + norm(branch(norm(x))), with a norm after the
   * last layer (Gemma); `after`: norm(x + branch(x)), with a norm of the embedding (BERT).
   */
  readonly placement: 'before' | 'both' | 'after';
}

/** One set of rotary frequencies. */
export interface RotaryFrequencies {
  /** Base. */
  readonly theta: number;
  readonly scaling?: RopeScaling;
}

/** How tokens learn where they stand. */
export type PositionConfig =
  | {
      readonly kind: 'rotary';
      /** Leading elements of each head that rotate; D or less. */
      readonly size: number;
      /**
       * Which elements rotate together: i and i + size/2 (`half`, Hugging Face's checkpoints) or 2i and 2i + 1
       * (`interleaved`, GGUF of the Llama architecture, whose converter permutes the rows of the query and key projections).
       */
      readonly layout: 'half' | 'interleaved';
      /** Pairs that rotate by a token's position in time, down and across, in models that place the cells of images so. */
      readonly sections?: readonly number[];
      readonly global: RotaryFrequencies;
      /** Of layers with a sliding window, where they differ. */
      readonly window?: RotaryFrequencies;
    }
  | {
      /** A learned vector per position is added to the embedding. */
      readonly kind: 'learned';
      /** Kinds of tokens (such as first and second sentence) with a learned vector each; 0 for none. */
      readonly tokenTypes: number;
    };

/** How a file holds the weights, where that differs between formats or architectures. */
export interface StorageConfig {
  /** Query, key and value projections: apart, as one matrix of their rows, or as one whose rows alternate by head. */
  readonly qkv: 'separate' | 'joint' | 'jointByHead';
  /**
   * The projection of the output gate: its rows behind the query's, for each key/value head and the query heads that share it
   * (`grouped`) or for each query head (`perHead`), or apart. Default `grouped`.
   */
  readonly outputGate?: 'grouped' | 'perHead' | 'separate';
  /** Projections of the layers stand as [inputs, outputs]. */
  readonly transposed: boolean;
  /** Added to the weights of the norms: 1 where a file holds their deviation from 1. */
  readonly normOffset: 0 | 1;
}

/** How a bidirectional network writes: masked tokens are filled in over several steps. */
export interface MaskedDiffusionConfig {
  /** The id that stands for a masked token. */
  readonly maskId: number;
  /** Whether the logits of a position are those of its own token (LLaDA) or of the one behind it (Dream, which was made from a causal model). */
  readonly logits: 'own' | 'next';
}

/** A transformer, the same for every architecture and file format. */
export interface TransformerConfig {
  /** Such as `llama`. */
  readonly architecture: string;
  /** Whether a token sees only earlier ones. */
  readonly causal: boolean;
  /** Of masked-diffusion language models. */
  readonly maskedDiffusion?: MaskedDiffusionConfig;
  /** Rows of the embedding; at least the tokenizer's vocabulary. */
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key/value heads, Hkv. */
  readonly kvHeads: number;
  /** D. */
  readonly headSize: number;
  readonly intermediateSize: number;
  readonly norm: NormConfig;
  /** Attention and MLP read the same x and are added to it together, instead of one after the other. */
  readonly parallelBranches: boolean;
  /**
   * Attention's output is multiplied with a sigmoid of the layer's projected input before it is projected itself: by an element
   * each, or by one number per head (Qiu et al., "Gated Attention", 2025).
   */
  readonly outputGate?: 'elementwise' | 'headwise';
  /** Queries and keys are normed per head before they rotate. */
  readonly queryKeyNorm: boolean;
  readonly activation: 'silu' | 'gelu' | 'geluTanh' | 'geluSigmoid';
  /** activation(gate) * up instead of activation(up). */
  readonly gatedMlp: boolean;
  /** Projections that have a bias. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  readonly positions: PositionConfig;
  /** Factor on q k^T; default 1 / sqrt(D). */
  readonly attentionScale?: number;
  /** Of each layer: all earlier tokens, or the last `slidingWindow` ones. */
  readonly layerKinds: readonly ('global' | 'window')[];
  readonly slidingWindow?: number;
  /** Factor on the token embedding. */
  readonly embeddingScale?: number;
  /** c in c tanh(logits / c). */
  readonly logitSoftCap?: number;
  /** The output head begins with a linear layer, the activation and a norm, and has a bias (BERT's masked-language head). */
  readonly headTransform: boolean;
  /** Whether the output head's matrix is the embedding. */
  readonly tieWordEmbeddings: boolean;
  readonly storage: StorageConfig;
  /** Most tokens the model was trained for. */
  readonly contextLength: number;
  readonly bosId?: number;
  /** Ids that end a text. */
  readonly eosIds: readonly number[];
}

/** Rows of the projection of the output gate; 0 where there is none. */
export function outputGateRows({ outputGate, heads, headSize }: TransformerConfig): number {
  if (!outputGate) return 0;
  return outputGate === 'elementwise' ? heads * headSize : heads;
}

/** What most architectures have in common; those that differ replace it. */
export const commonConfig = {
  causal: true,
  parallelBranches: false,
  queryKeyNorm: false,
  activation: 'silu',
  gatedMlp: true,
  biases: { qkv: false, output: false, mlp: false },
  headTransform: false,
  storage: { qkv: 'separate', transposed: false, normOffset: 0 },
} as const satisfies Partial<TransformerConfig>;

/**
 * A model's configuration cannot be used: `missing` (a file or value is not there), `invalid` (a value is of the wrong
 * kind or contradicts another) or `unsupported` (it asks for something that is not implemented). The message names the file and the value.
 */
export class ModelConfigError extends SaccadeError {
  static override readonly typeName: string = 'ModelConfigError';

  constructor(code: 'missing' | 'invalid' | 'unsupported', message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/**
 * Checks that the sizes of a configuration fit together.
 * @param where Name of the file, for messages.
 * @throws ModelConfigError `invalid`
 */
export function checkConfig(where: string, config: TransformerConfig): TransformerConfig {
  const { heads, kvHeads, headSize, vocabularySize, bosId, eosIds, positions, layers, layerKinds } = config;
  const maskId = config.maskedDiffusion?.maskId;
  const invalid = (reason: string) => new ModelConfigError('invalid', `${where}: ${reason}.`);
  if (heads % kvHeads !== 0) throw invalid(`${heads} query heads do not divide into ${kvHeads} key/value heads`);
  if (headSize % 2 !== 0) throw invalid(`the head size ${headSize} is odd`);
  if (positions.kind === 'rotary' && (positions.size % 2 !== 0 || positions.size > headSize || positions.size < 2)) {
    throw invalid(`${positions.size} elements of a head of ${headSize} cannot rotate`);
  }
  if (layerKinds.length !== layers)
    throw invalid(`${layerKinds.length} kinds of layers are given for ${layers} layers`);
  if (layerKinds.includes('window') && config.slidingWindow === undefined) {
    throw invalid('layers with a sliding window need its size');
  }
  for (const id of [bosId ?? 0, maskId ?? 0, ...eosIds]) {
    if (id >= vocabularySize) throw invalid(`the token ${id} is outside the vocabulary of ${vocabularySize}`);
  }
  return config;
}
