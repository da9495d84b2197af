import { type AttentionOptions, attention, type Gpu, randomUniform, type Tensor } from '@saccade/core';

/** Heads of every call: few, so that a slow adapter gets through the long ones. */
export const heads = 2;
export const headSize = 64;

/** Self-attention over the tokens of a grid, as a diffusion transformer's layer asks for it: one sample, not causal. */
export class GridWorkload {
  readonly gpu: Gpu;
  /** Tokens along each axis, slowest first. */
  readonly layout: readonly number[];
  readonly tokens: number;
  /** f32 [1, N, H, D], row-major tokens, as projections give them. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;

  constructor(gpu: Gpu, layout: readonly number[], seed: number) {
    this.gpu = gpu;
    this.layout = layout;
    this.tokens = layout.reduce((product, size) => product * size, 1);
    const random = (stream: number) =>
      gpu.keep(randomUniform(gpu, [1, this.tokens, heads, headSize], { seed, stream }));
    [this.q, this.k, this.v] = [random(0), random(1), random(2)];
  }

  /** [1, H, N, D] of queries, keys or values. */
  headsFirst(x: Tensor): Tensor {
    return x.transpose(0, 2, 1, 3);
  }

  /** The engine on tokens in their order. */
  attention(options: AttentionOptions): Tensor {
    return attention(this.headsFirst(this.q), this.headsFirst(this.k), this.headsFirst(this.v), options).output;
  }

  dispose(): void {
    for (const tensor of [this.q, this.k, this.v]) tensor.dispose();
  }
}

/** A square grid of that many tokens, or the nearest one below. */
export function squareLayout(tokens: number): readonly number[] {
  const side = Math.floor(Math.sqrt(tokens));
  return [side, side];
}
