import { embedding, type Value } from '../../autodiff/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';

/** Rows of `weight` [vocabulary, size] by id. Initialised from the standard normal distribution, as PyTorch's. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor(init: Initializer, { vocabulary, size }: { readonly vocabulary: number; readonly size: number }) {
    super();
    this.weight = init.normal([vocabulary, size], 1);
  }

  /** @param ids u32 [...] @returns f32 [..., size] */
  forward(ids: Tensor): Value {
    return embedding(this.weight.value, ids);
  }
}
