import { layerNorm, rmsNorm, type Value } from '../../autodiff/index.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';

/** Layer norm over the last axis; epsilon 1e-5 by default. */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #epsilon: number;

  constructor(init: Initializer, { size, epsilon = 1e-5 }: { readonly size: number; readonly epsilon?: number }) {
    super();
    this.weight = init.constant([size], 1);
    this.bias = init.constant([size], 0);
    this.#epsilon = epsilon;
  }

  /** @param x floats [..., size] @returns f32 [..., size] */
  forward(x: Value): Value {
    return layerNorm(x, this.weight.value, this.bias.value, { epsilon: this.#epsilon });
  }
}

/** RMS norm over the last axis; epsilon 1e-6 by default. */
export class RmsNorm extends Module {
  readonly weight: Parameter;
  readonly #epsilon: number;

  constructor(init: Initializer, { size, epsilon = 1e-6 }: { readonly size: number; readonly epsilon?: number }) {
    super();
    this.weight = init.constant([size], 1);
    this.#epsilon = epsilon;
  }

  /** @param x floats [..., size] @returns f32 [..., size] */
  forward(x: Value): Value {
    return rmsNorm(x, this.weight.value, { epsilon: this.#epsilon });
  }
}
