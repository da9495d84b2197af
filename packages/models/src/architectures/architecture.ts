import type { Gpu, KvCache, MethodRun, ModelFacts, Tensor } from '@saccade/core';

/** Tokens that run in one pass. */
export interface NetworkInput {
  /** u32 [N] */
  readonly ids: Tensor;
  /** u32 [N], for networks that tell kinds of tokens apart; default all 0. */
  readonly tokenTypes?: Tensor | undefined;
}

/** A network on the GPU, without tokenizer or generation: what differs between model families. */
export interface Architecture {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  /** Bytes of the weights in GPU memory. */
  readonly weightBytes: number;
  createCache(capacity: number): KvCache;
  /**
   * Runs all layers over consecutive tokens and appends their keys and values to the cache.
   * @param input N tokens; they stand at positions `cache.length` onwards, or 0 onwards without a cache.
   * @returns Output of the final norm, f32 [N, hiddenSize].
   */
  forward(input: NetworkInput, cache: KvCache | undefined, run: MethodRun): Tensor;
  /** Logits of hidden rows: f32 [N, vocabularySize]. */
  logits(hidden: Tensor): Tensor;
  dispose(): void;
}
