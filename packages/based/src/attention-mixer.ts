import { attention, type LayerCacheSpec, type Tensor } from '@saccade/core';
import { type Initializer, MultiHeadAttention } from '@saccade/core/nn';
import type { CachedContext, CachedMixer } from './mixer.ts';
import { visibleTokens } from './sliding-window.ts';

/** What a softmax layer is made of. */
export interface AttentionMixerOptions {
  readonly hiddenSize: number;
  readonly heads: number;
  /** Of a window layer; without it every earlier token is seen. */
  readonly windowSize?: number;
}

/** Softmax attention with rotary embedding over whole heads: Based's window layer, or full attention to compare with. */
export class AttentionMixer extends MultiHeadAttention implements CachedMixer {
  readonly #window: number | undefined;

  constructor(init: Initializer, { windowSize, ...sizes }: AttentionMixerOptions) {
    const window = windowSize === undefined ? undefined : visibleTokens(windowSize);
    super(init, { ...sizes, ...(window === undefined ? {} : { slidingWindow: window }) });
    this.#window = window;
  }

  cacheSpec(): LayerCacheSpec {
    return this.#window === undefined ? { kind: 'contiguous' } : { kind: 'window', window: this.#window };
  }

  forwardCached(x: Tensor, { cache, layer, rope }: CachedContext): Tensor {
    return x.gpu.tidy(() => {
      const { q, k, v } = this.project(x, { layer, rope, drop: (value) => value }) as Record<'q' | 'k' | 'v', Tensor>;
      const { keys, values, options } = cache.layer(layer).append(k, v);
      return this.output(attention(q, keys, values, { causal: true, ...options }).output) as Tensor;
    });
  }
}
