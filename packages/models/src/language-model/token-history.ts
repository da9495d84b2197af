import type { Gpu, Tensor } from '@saccade/core';

/** Ids of a run's tokens on the GPU, for the repetition penalty; grows in place without readback. */
export class TokenHistory {
  readonly ids: Tensor;
  length: number;
  readonly #gpu: Gpu;

  constructor(gpu: Gpu, ids: readonly number[], room: number) {
    this.#gpu = gpu;
    this.length = ids.length;
    const padded = new Uint32Array(ids.length + room);
    padded.set(ids);
    this.ids = gpu.keep(gpu.tensor(padded, [1, padded.length], 'u32'));
  }

  /** Appends one sampled token, u32 [1]. */
  append(token: Tensor): void {
    const target = this.#gpu.range(this.ids, 'TokenHistory.append');
    this.#gpu.copyBytes(
      this.#gpu.range(token, 'TokenHistory.append'),
      { ...target, offset: target.offset + 4 * this.length },
      4,
    );
    this.length++;
  }

  dispose(): void {
    this.ids.dispose();
  }
}
