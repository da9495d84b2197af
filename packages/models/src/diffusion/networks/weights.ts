import type { Tensor } from '@saccade/core';
import type { NormWeights, ProjectionWeights } from '../../architectures/transformer/weights.ts';
import type { WeightLoader } from '../../architectures/weight-loader.ts';
import type { DiffusionTransformerConfig } from '../config/transformer-config.ts';

/** Attention with one matrix for queries, keys and values. */
export interface SelfAttentionWeights {
  /** [3 E, E] */
  readonly qkv: ProjectionWeights;
  readonly output: ProjectionWeights;
  /** Norms of each head's query and key: [D]. */
  readonly queryNorm?: NormWeights;
  readonly keyNorm?: NormWeights;
}

export interface FeedForwardWeights {
  readonly up: ProjectionWeights;
  readonly down: ProjectionWeights;
}

/** Two linear layers, an activation between them. */
export interface EmbedderWeights {
  readonly first: ProjectionWeights;
  readonly second: ProjectionWeights;
}

/** Loads parts of diffusers' transformers by their names. */
export class PartLoader {
  readonly loader: WeightLoader;
  readonly #hiddenSize: number;

  constructor(loader: WeightLoader, { heads, headSize }: Pick<DiffusionTransformerConfig, 'heads' | 'headSize'>) {
    this.loader = loader;
    this.#hiddenSize = heads * headSize;
  }

  /** A linear layer; outputs first. */
  async linear(name: string, outputs: number, inputs: number, biased = true): Promise<ProjectionWeights> {
    const weight = await this.loader.matrix([`${name}.weight`], [outputs], inputs);
    return biased ? { weight, bias: await this.bias(name, outputs) } : { weight };
  }

  /** A convolution whose kernel is as large as its stride, as a linear layer over patches [channels, side, side]. */
  async patchProjection(name: string, channels: number, side: number): Promise<ProjectionWeights> {
    const weight = await this.loader.tensor(
      `${name}.weight`,
      [this.#hiddenSize, channels, side, side],
      [this.#hiddenSize, channels * side * side],
    );
    return { weight, bias: await this.bias(name, this.#hiddenSize) };
  }

  bias(name: string, size: number): Promise<Tensor> {
    return this.loader.vector([`${name}.bias`], [size]);
  }

  /** Linear layers of one input as one, the outputs of each behind those of the one before. */
  async linears(
    names: readonly string[],
    outputs: number,
    inputs: number,
    biased: boolean,
  ): Promise<ProjectionWeights> {
    const rows = names.map(() => outputs);
    const named = (kind: string) => names.map((name) => `${name}.${kind}`);
    const weight = await this.loader.matrix(named('weight'), rows, inputs);
    return biased ? { weight, bias: await this.loader.vector(named('bias'), rows) } : { weight };
  }

  async selfAttention(name: string, biased: boolean): Promise<SelfAttentionWeights> {
    const size = this.#hiddenSize;
    const names = ['to_q', 'to_k', 'to_v'].map((part) => `${name}.${part}`);
    return {
      qkv: await this.linears(names, size, size, biased),
      output: await this.linear(`${name}.to_out.0`, size, size),
    };
  }

  /** A small tensor as one row, [1, elements]. */
  row(name: string, shape: readonly [number, number]): Promise<Tensor> {
    return this.loader.tensor(name, shape, [1, shape[0] * shape[1]]);
  }

  /** The MLP of a block; its inner width is what the file has. */
  async feedForward(name: string): Promise<FeedForwardWeights> {
    const size = this.#hiddenSize;
    const inner = this.loader.rows(`${name}.net.0.proj.weight`);
    return {
      up: await this.linear(`${name}.net.0.proj`, inner, size),
      down: await this.linear(`${name}.net.2`, size, inner),
    };
  }

  async embedder(name: string, inputs: number, outputs = this.#hiddenSize): Promise<EmbedderWeights> {
    return {
      first: await this.linear(`${name}.linear_1`, outputs, inputs),
      second: await this.linear(`${name}.linear_2`, outputs, outputs),
    };
  }

  /** A matrix with a row of the hidden size per number. */
  table(name: string, rows: number): Promise<Tensor> {
    return this.loader.matrix([name], [rows], this.#hiddenSize);
  }

  async norm(name: string, size: number): Promise<NormWeights> {
    return { weight: await this.loader.vector([`${name}.weight`], [size]), bias: await this.bias(name, size) };
  }
}
