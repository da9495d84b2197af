import { type LayerCacheSpec, linearAttentionStateShapes, type Tensor } from '@saccade/core';
import { linearAttention, type Value } from '@saccade/core/autodiff';
import { type Initializer, Linear, TokenMixer } from '@saccade/core/nn';
import { mergeHeads, splitHeads } from './heads.ts';
import { basedDecodeStep, basedLinearAttention } from './linear-attention.ts';
import type { CachedContext, CachedMixer } from './mixer.ts';
import type { ResolvedBasedOptions } from './options.ts';

/** What a linear layer is made of. */
export type LinearMixerOptions = Pick<ResolvedBasedOptions, 'heads' | 'featureDim' | 'epsilon' | 'chunk'> & {
  readonly hiddenSize: number;
};

/** Based's global layer: linear attention over Taylor features, without bias or rotary embedding. Names as in the published checkpoints. */
export class LinearMixer extends TokenMixer implements CachedMixer {
  readonly proj_q: Linear;
  readonly proj_k: Linear;
  readonly proj_v: Linear;
  readonly out_proj: Linear;
  readonly #options: LinearMixerOptions;

  constructor(init: Initializer, options: LinearMixerOptions) {
    super();
    const { hiddenSize, heads, featureDim } = options;
    const matrix = (outputs: number) => new Linear(init, { inputs: hiddenSize, outputs, bias: false });
    this.proj_q = matrix(heads * featureDim);
    this.proj_k = matrix(heads * featureDim);
    this.proj_v = matrix(hiddenSize);
    this.out_proj = matrix(hiddenSize);
    this.#options = options;
  }

  /** @param x f32 [B, N, hiddenSize] @returns the same shape */
  forward(x: Value): Value {
    const { epsilon, chunk } = this.#options;
    return x.gpu.tidy(() => {
      const { q, k, v } = this.#project(x);
      return this.out_proj.forward(
        mergeHeads(linearAttention(q, k, v, { epsilon, ...(chunk === null ? {} : { chunk }) })),
      );
    });
  }

  cacheSpec(batch: number): LayerCacheSpec {
    const { hiddenSize, heads, featureDim: size } = this.#options;
    const shapes = linearAttentionStateShapes({ batch, heads, size, valueSize: hiddenSize / heads });
    return { kind: 'state', tensors: { kv: { shape: shapes.kv }, k: { shape: shapes.k } } };
  }

  forwardCached(x: Tensor, { cache, layer }: CachedContext): Tensor {
    const { epsilon, chunk } = this.#options;
    return x.gpu.tidy(() => {
      const { q, k, v } = this.#project(x) as Record<'q' | 'k' | 'v', Tensor>;
      const kept = cache.state(layer);
      const before = { kv: kept.get('kv'), k: kept.get('k') };
      const { out, state } =
        x.shape[1] === 1
          ? basedDecodeStep(q, k, v, before, { epsilon })
          : basedLinearAttention(q, k, v, { epsilon, state: before, ...(chunk === null ? {} : { chunk }) });
      kept.set('kv', state.kv);
      kept.set('k', state.k);
      return this.out_proj.forward(mergeHeads(out)) as Tensor;
    });
  }

  #project(x: Value): Record<'q' | 'k' | 'v', Value> {
    const { heads } = this.#options;
    return {
      q: splitHeads(this.proj_q.forward(x), heads),
      k: splitHeads(this.proj_k.forward(x), heads),
      v: splitHeads(this.proj_v.forward(x), heads),
    };
  }
}
