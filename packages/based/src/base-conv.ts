import { concatenate, copyInto, type LayerCacheSpec, type Tensor } from '@saccade/core';
import { concatenate as concatenateValues, multiply, silu, type Value } from '@saccade/core/autodiff';
import { Conv1d, type Initializer, Linear, TokenMixer } from '@saccade/core/nn';
import type { CachedContext, CachedMixer } from './mixer.ts';
import type { ResolvedBasedOptions } from './options.ts';

/** What a BaseConv layer is made of. */
export type BaseConvOptions = Pick<ResolvedBasedOptions, 'kernelSize' | 'expansion'> & { readonly hiddenSize: number };

/**
 * Based's gated convolution, the majority of its layers: `out_proj(silu(conv(u1)) * u2)`, u1 and u2 the halves of a projection to
 * `expansion` times the model size; each channel's filter sees the last `kernelSize` tokens.
 */
export class BaseConv extends TokenMixer implements CachedMixer {
  readonly in_proj: Linear;
  readonly conv: Conv1d;
  readonly out_proj: Linear;
  readonly #channels: number;
  readonly #past: number;

  constructor(init: Initializer, { hiddenSize, kernelSize, expansion }: BaseConvOptions) {
    super();
    this.#channels = (expansion * hiddenSize) / 2;
    this.#past = kernelSize - 1;
    this.in_proj = new Linear(init, { inputs: hiddenSize, outputs: 2 * this.#channels });
    const channels = this.#channels;
    this.conv = new Conv1d(init, { inputs: channels, outputs: channels, groups: channels, kernel: kernelSize });
    this.out_proj = new Linear(init, { inputs: this.#channels, outputs: hiddenSize });
  }

  /** @param x f32 [B, N, hiddenSize] @returns the same shape */
  forward(x: Value): Value {
    const { gpu } = x;
    return gpu.tidy(() => {
      const { signal, gate } = this.#project(x);
      const before = gpu.zeros([x.shape[0] as number, this.#channels, this.#past]);
      return this.#gated(concatenateValues([before, signal], 2), gate);
    });
  }

  cacheSpec(batch: number): LayerCacheSpec {
    return { kind: 'state', tensors: { inputs: { shape: [batch, this.#channels, this.#past] } } };
  }

  forwardCached(x: Tensor, { cache, layer }: CachedContext): Tensor {
    return x.gpu.tidy(() => {
      const { signal, gate } = this.#project(x) as Record<'signal' | 'gate', Tensor>;
      const kept = cache.state(layer);
      const inputs = concatenate([kept.get('inputs'), signal], 2);
      const length = inputs.shape[2] as number;
      // A copy: a view would keep all inputs of the pass alive.
      const newest = x.gpu.empty([...inputs.shape.slice(0, 2), this.#past]);
      copyInto(newest, inputs.slice(2, length - this.#past, length));
      kept.set('inputs', newest);
      return this.#gated(inputs, gate) as Tensor;
    });
  }

  /** u1 as the convolution takes it, [B, channels, N], and u2 [B, N, channels]. */
  #project(x: Value): Record<'signal' | 'gate', Value> {
    const both = this.in_proj.forward(x);
    const channels = this.#channels;
    return { signal: both.slice(2, 0, channels).transpose(0, 2, 1), gate: both.slice(2, channels, 2 * channels) };
  }

  /** @param inputs [B, channels, N + kernelSize - 1] */
  #gated(inputs: Value, gate: Value): Value {
    const filtered = this.conv.forward(inputs).transpose(0, 2, 1);
    return this.out_proj.forward(multiply(silu(filtered), gate));
  }
}
