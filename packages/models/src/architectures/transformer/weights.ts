import type { Tensor } from '@saccade/core';

/** A norm's weight and, for layer norms, its bias: [width]. */
export interface NormWeights {
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/** A linear layer: a row per output, [outputs, inputs], and perhaps a bias [outputs]. */
export interface ProjectionWeights {
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/**
 * One layer. Neighbouring matrices that read the same input and that a file has in one type are one matrix, row after row, so
 * that they take one launch.
 */
export interface LayerWeights {
  /** Before attention (placement `before`, `both`) or after the sum with its output (`after`). */
  readonly attentionNorm: NormWeights;
  /**
   * Query, output gate (where there is one), key and value projections, in this order: one [(H + 2 Hkv) D, hiddenSize], or
   * more.
   */
  readonly qkv: readonly ProjectionWeights[];
  /** Norms of each head's query and key: [D]. */
  readonly queryNorm?: NormWeights;
  readonly keyNorm?: NormWeights;
  /** [hiddenSize, H D] */
  readonly output: ProjectionWeights;
  /** Of attention's output (placement `both`). */
  readonly attentionPostNorm?: NormWeights;
  /** Before the MLP or after the sum with its output, as `attentionNorm`. */
  readonly mlpNorm: NormWeights;
  /** Gate and up projections: one [2 intermediateSize, hiddenSize], or two; the up projection alone in a plain MLP. */
  readonly gateUp: readonly ProjectionWeights[];
  /** [hiddenSize, intermediateSize] */
  readonly down: ProjectionWeights;
  /** Of the MLP's output (placement `both`). */
  readonly mlpPostNorm?: NormWeights;
}

export interface TransformerWeights {
  /** [vocabularySize, hiddenSize] */
  readonly embedding: Tensor;
  /** Learned positions: [contextLength, hiddenSize]. */
  readonly positionEmbedding?: Tensor;
  /** [tokenTypes, hiddenSize] */
  readonly tokenTypeEmbedding?: Tensor;
  /** Placement `after`. */
  readonly embeddingNorm?: NormWeights;
  readonly layers: readonly LayerWeights[];
  /** Placement `before` and `both`. */
  readonly finalNorm?: NormWeights;
  /** None in a checkpoint of an encoder without its head. */
  readonly head?: HeadWeights;
}

/** The output head. */
export interface HeadWeights {
  /** [vocabularySize, hiddenSize]; the embedding itself where they are tied. */
  readonly projection: ProjectionWeights;
  /** What hidden rows pass first: [hiddenSize, hiddenSize], then the activation and a norm. */
  readonly transform?: { readonly projection: ProjectionWeights; readonly norm: NormWeights };
}
