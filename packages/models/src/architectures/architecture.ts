import type { Gpu, KvCache, MethodRun, ModelFacts, Tensor } from '@saccade/core';

/** A network on the GPU, without tokenizer or generation: what differs between model families. */
export interface Architecture {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  /** Bytes of the weights in GPU memory. */
  readonly weightBytes: number;
  createCache(capacity: number): KvCache;
  /**
   * Runs all layers over consecutive tokens and appends their keys and values to the cache.
   * @param ids u32 [N]; they stand at positions `cache.length` onwards.
   * @returns Output of the final norm, f32 [N, hiddenSize].
   */
  forward(ids: Tensor, cache: KvCache, run: MethodRun): Tensor;
  /** Logits of hidden rows: f32 [N, vocabularySize]. */
  logits(hidden: Tensor): Tensor;
  dispose(): void;
}
