import { embedding, type Value } from '../../autodiff/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';

export interface EmbeddingSizes {
  readonly vocabulary: number;
  readonly size: number;
  /** Standard deviation at the beginning. Default 1, as PyTorch's. */
  readonly deviation?: number;
}

/** Rows of `weight` [vocabulary, size] by id. Initialised from a normal distribution. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor(init: Initializer, { vocabulary, size, deviation = 1 }: EmbeddingSizes) {
    super();
    this.weight = init.normal([vocabulary, size], deviation);
  }

  /** @param ids u32 [...] @returns f32 [..., size] */
  forward(ids: Tensor): Value {
    return embedding(this.weight.value, ids);
  }
}
