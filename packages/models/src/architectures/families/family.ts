import type { ConfigValues } from '../../weights/config-values.ts';
import type { TransformerConfig } from '../../weights/model-config.ts';

/** Weights outside the layers. */
export type OuterPart =
  | 'embedding'
  | 'positionEmbedding'
  | 'tokenTypeEmbedding'
  | 'embeddingNorm'
  | 'finalNorm'
  | 'head'
  | 'headTransform'
  | 'headNorm'
  | 'headBias';

/** Weights of one layer. `qkv` stands for query, key and value where a file has them as one. */
export type LayerPart =
  | 'attentionNorm'
  | 'query'
  | 'key'
  | 'value'
  | 'qkv'
  | 'queryNorm'
  | 'keyNorm'
  | 'output'
  | 'outputGate'
  | 'attentionPostNorm'
  | 'mlpNorm'
  | 'gate'
  | 'up'
  | 'down'
  | 'mlpPostNorm';

/** Names of the weights in a family's checkpoints, without `.weight` and `.bias`. */
export interface WeightNames {
  /** What names begin with in checkpoints of the whole model, but not in those without a head. */
  readonly prefix?: string;
  readonly outer: Readonly<Partial<Record<OuterPart, string>>>;
  /** What precedes the number of a layer: `model.layers`. */
  readonly layers: string;
  readonly parts: Readonly<Partial<Record<LayerPart, string>>>;
}

/** The part of a configuration that every reader adds for all families alike. */
export type TokenIds = 'bosId' | 'eosIds';

/** Architectures that are the same network under the same names: all that is known about one, and no code that runs it. */
export interface Family {
  /** As {@link TransformerConfig.architecture} tells it. */
  readonly name: string;
  readonly names: WeightNames;
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Reads config.json; absent values have transformers' defaults. @throws ModelConfigError */
  fromHuggingFace(values: ConfigValues): Omit<TransformerConfig, TokenIds | 'architecture'>;
  /** Where llama.cpp has the architecture. */
  readonly gguf?: {
    /** `general.architecture`, which also begins the names of the metadata. */
    readonly architecture: string;
    /** What differs from the sizes and names that all GGUF files share. @throws ModelConfigError */
    read(values: ConfigValues, shared: GgufShared): Omit<TransformerConfig, TokenIds | 'architecture'>;
  };
}

/** What GGUF files say alike for all architectures. */
export type GgufShared = Pick<
  TransformerConfig,
  | 'vocabularySize'
  | 'hiddenSize'
  | 'layers'
  | 'heads'
  | 'kvHeads'
  | 'headSize'
  | 'intermediateSize'
  | 'tieWordEmbeddings'
  | 'contextLength'
>;
