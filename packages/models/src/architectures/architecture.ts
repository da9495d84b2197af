import type { Gpu, KvCache, MethodRun, ModelFacts, RowFeatures, Tensor } from '@saccade/core';

/** Tokens that run in one pass. */
export interface NetworkInput {
  /** u32 [N] */
  readonly ids: Tensor;
  /** u32 [N], for networks that tell kinds of tokens apart; default all 0. */
  readonly tokenTypes?: Tensor | undefined;
  /** Rows that stand in place of tokens' embeddings, by the number of the token in `ids`. */
  readonly features?: readonly RowFeatures[] | undefined;
}

/** A network on the GPU, without tokenizer or generation: what differs between model families. */
export interface Architecture {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  /** Bytes of the weights in GPU memory. */
  readonly weightBytes: number;
  /** Bytes of GPU memory that it holds for weights and tables, with what the pool rounds up. */
  readonly residentBytes: number;
  /** Makes its tables cover so many positions. */
  reserve(positions: number): void;
  /** A cache without tokens. With a run, its methods may change what layers keep. */
  createCache(capacity: number, run?: MethodRun): KvCache;
  /**
   * Runs layers over the tokens of the run's pass; attention goes through the run, which appends keys and values to the
   * caches of the pass.
   * @param input N tokens, where `run.positions` says
   * @param layers How many layers, from the first on; default all.
   * @returns Output of the final norm, f32 [N, hiddenSize]; fewer rows where a method selects tokens.
   */
  forward(input: NetworkInput, run: MethodRun, layers?: number): Tensor;
  /** Rows of the residual stream through the final norm, where there is one: f32 [N, hiddenSize]. */
  finalNorm(x: Tensor): Tensor;
  /** Logits of hidden rows: f32 [N, vocabularySize]. */
  logits(hidden: Tensor): Tensor;
  dispose(): void;
}
