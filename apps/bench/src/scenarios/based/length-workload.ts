import {
  attention,
  attentionBackward,
  type Gpu,
  type LinearAttentionState,
  linearAttention,
  linearAttentionGradient,
  linearAttentionStep,
  randomNormal,
  type Tensor,
} from '@saccade/core';

/** Sizes of every call: few heads, so that a slow adapter gets through the long ones. */
const shape = { batch: 1, heads: 2, headSize: 64 } as const;

/** What is timed: a prompt, a prompt with its gradients, one token behind a prompt. */
export type LengthPass = 'prefill' | 'training' | 'decode';

export const lengthPasses: readonly LengthPass[] = ['prefill', 'training', 'decode'];

/** Tokens that are decoded in one call, so that the wait at its end does not count. */
const decodedTokens = 16;

/** Softmax and linear attention over the same values, of one length. */
export class LengthWorkload {
  readonly #gpu: Gpu;
  readonly #length: number;
  /** Queries, keys and values; queries and keys of the linear layer; the gradient of the output. */
  readonly #tensors: Readonly<Record<'q' | 'k' | 'v' | 'narrowQ' | 'narrowK' | 'gradient', Tensor>>;
  readonly #state: LinearAttentionState;

  constructor(gpu: Gpu, length: number, featureDim: number, seed: number) {
    this.#gpu = gpu;
    this.#length = length;
    const random = (stream: number, size: number) =>
      gpu.keep(randomNormal(gpu, [shape.batch, shape.heads, length, size], { seed, stream }));
    const wide = (stream: number) => random(stream, shape.headSize);
    this.#tensors = {
      q: wide(0),
      k: wide(1),
      v: wide(2),
      narrowQ: random(3, featureDim),
      narrowK: random(4, featureDim),
      gradient: wide(5),
    };
    const { narrowQ, narrowK, v } = this.#tensors;
    this.#state = gpu.tidy(
      () => linearAttention(narrowQ, narrowK, v, { returnState: true }).state as LinearAttentionState,
    );
    gpu.keep(this.#state.kv);
    gpu.keep(this.#state.k);
  }

  /** Does a pass and waits for it. @returns milliseconds per token of a decode pass, else undefined: the time of the call */
  async run(linear: boolean, pass: LengthPass): Promise<number | undefined> {
    const start = performance.now();
    this.#gpu.tidy(() => {
      if (linear) this.#linear(pass);
      else this.#softmax(pass);
    });
    await this.#gpu.synchronize();
    return pass === 'decode' ? (performance.now() - start) / decodedTokens : undefined;
  }

  /** Most bytes that live during a pass, inputs included. */
  async peakBytes(linear: boolean, pass: LengthPass): Promise<number> {
    this.#gpu.resetPeak();
    await this.run(linear, pass);
    return this.#gpu.stats().peakBytes;
  }

  dispose(): void {
    for (const tensor of [...Object.values(this.#tensors), this.#state.kv, this.#state.k]) tensor.dispose();
  }

  #linear(pass: LengthPass): void {
    const { narrowQ: q, narrowK: k, v, gradient } = this.#tensors;
    if (pass === 'decode') {
      const [one, two, three] = [this.#last(q), this.#last(k), this.#last(v)];
      let state = this.#state;
      for (let token = 0; token < decodedTokens; token++) state = linearAttentionStep(one, two, three, state).state;
      return;
    }
    const result = linearAttention(q, k, v);
    if (pass === 'training') linearAttentionGradient(gradient, q, k, v, result);
  }

  #softmax(pass: LengthPass): void {
    const { q, k, v, gradient } = this.#tensors;
    if (pass === 'decode') {
      const query = this.#last(q);
      for (let token = 0; token < decodedTokens; token++) attention(query, k, v, { causal: true });
      return;
    }
    const { output, logSumExp } = attention(q, k, v, { causal: true, returnLogSumExp: true });
    if (pass === 'training') {
      attentionBackward(gradient, q, k, v, { causal: true, output, logSumExp: logSumExp as Tensor });
    }
  }

  #last(x: Tensor): Tensor {
    return x.slice(2, this.#length - 1, this.#length);
  }
}
