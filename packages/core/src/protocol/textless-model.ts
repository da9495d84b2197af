import type { Gpu } from '../device/gpu.ts';
import type { ModelFacts, ModelHandle } from './model-handle.ts';

/** A model for methods that reads and writes no text: what only language models have is refused, saying so. */
export abstract class TextlessModel implements ModelHandle {
  abstract readonly gpu: Gpu;
  abstract readonly facts: ModelFacts;

  get tokenizer(): never {
    return this.refuse('a tokenizer');
  }

  encodePrompt(): never {
    return this.refuse('a tokenizer');
  }

  encode(): never {
    return this.refuse('an encoded prompt');
  }

  createCache(): never {
    return this.refuse('a cache');
  }

  forward(): never {
    return this.refuse('a pass over tokens');
  }

  unembed(): never {
    return this.refuse('logits');
  }

  prefill(): never {
    return this.refuse('a prefill');
  }

  logits(): never {
    return this.refuse('logits');
  }

  generate(): never {
    return this.refuse('a text');
  }

  abstract dispose(): void;

  /** @throws RefusedError always: the model has no such thing */
  protected abstract refuse(what: string): never;
}
