import { linear, scale, type Value } from '../../autodiff/index.ts';
import { ArgumentError } from '../../errors.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';
import type { Linear } from './linear.ts';

/** A matrix without bias, which a low-rank factor is. */
class Factor extends Module {
  readonly weight: Parameter;

  constructor(weight: Parameter) {
    super();
    this.weight = weight;
  }
}

export interface LoraOptions {
  readonly rank: number;
  /** The update counts alpha / rank. Default `rank`. */
  readonly alpha?: number;
}

/**
 * A linear layer with a low-rank update: `base(x) + alpha / rank * B A x` (Hu et al., "LoRA", 2021, section 4.1). The base is
 * frozen and may be quantized; B begins with zeros, so that training begins at the base. Names as in PEFT: `base_layer`, `lora_A`,
 * `lora_B`.
 */
export class Lora extends Module {
  readonly base_layer: Linear;
  readonly lora_A: Factor;
  readonly lora_B: Factor;
  readonly #factor: number;

  /** Owns the base from now on. @throws ArgumentError for a rank that is no integer of 1 or more */
  constructor(init: Initializer, base: Linear, { rank, alpha = rank }: LoraOptions) {
    super();
    if (!(Number.isInteger(rank) && rank >= 1)) throw new ArgumentError('Lora: rank', rank, 'an integer of 1 or more');
    const [outputs, inputs] = base.weight.tensor.shape as [number, number];
    this.base_layer = base.freeze();
    this.lora_A = new Factor(init.uniform([rank, inputs], 1 / Math.sqrt(inputs)));
    this.lora_B = new Factor(init.constant([outputs, rank], 0));
    this.#factor = alpha / rank;
  }

  /** @param x floats [..., inputs] @returns f32 [..., outputs] */
  forward(x: Value): Value {
    return x.gpu.tidy(() => {
      const low = scale(linear(x, this.lora_A.weight.value), this.#factor);
      return linear(low, this.lora_B.weight.value, { residual: this.base_layer.forward(x) });
    });
  }
}
