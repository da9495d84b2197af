import { type Gpu, randomUniform, type Tensor } from '@saccade/core';
import {
  flashAttention,
  flashAttention1,
  flashAttention1Backward,
  flashAttentionBackward,
  standardAttention,
  standardAttentionBackward,
} from '@saccade/flash-attention-2';

/** Sizes of every call: heads of the published size, few of them, so that a slow adapter gets through the long ones. */
export const shape = { batches: 1, heads: 2, headSize: 64 } as const;

/** What is timed: the forward pass, or both. */
export type Pass = 'forward' | 'forward+backward';

export const passes: readonly Pass[] = ['forward', 'forward+backward'];

/** Inputs of one length, and the schedules over them. */
export class ScheduleWorkload {
  readonly #gpu: Gpu;
  readonly #tensors: readonly [q: Tensor, k: Tensor, v: Tensor, dOut: Tensor];

  constructor(gpu: Gpu, length: number, seed: number) {
    this.#gpu = gpu;
    const size = [shape.batches, shape.heads, length, shape.headSize];
    const random = (stream: number) => gpu.keep(randomUniform(gpu, size, { seed, stream }));
    this.#tensors = [random(0), random(1), random(2), random(3)];
  }

  /** Runs a schedule, causal, by the name of its entry (`dense`: three kernels), and waits for it. */
  async run(name: string, pass: Pass, given: Readonly<Record<string, unknown>>): Promise<undefined> {
    const options = { ...given, causal: true };
    const [q, k, v, dOut] = this.#tensors;
    this.#gpu.tidy(() => {
      const backward = pass === 'forward+backward';
      if (name === 'dense') {
        const { probabilities } = standardAttention(q, k, v, options);
        if (backward) standardAttentionBackward(dOut, q, k, v, probabilities, options);
      } else if (name === 'flash-attention-1') {
        const { out, logSumExp } = flashAttention1(q, k, v, options);
        if (backward) flashAttention1Backward(dOut, q, k, v, out, logSumExp, options);
      } else {
        const { out, logSumExp } = flashAttention(q, k, v, options);
        if (backward) flashAttentionBackward(dOut, q, k, v, out, logSumExp, options);
      }
    });
    await this.#gpu.synchronize();
    return undefined;
  }

  /** Most bytes that live during a call, inputs included. */
  async peakBytes(name: string, pass: Pass, options: Readonly<Record<string, unknown>>): Promise<number> {
    this.#gpu.resetPeak();
    await this.run(name, pass, options);
    return this.#gpu.stats().peakBytes;
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }
}
