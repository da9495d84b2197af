import { gatedActivation, gelu, relu, silu, type Value } from '../../autodiff/index.ts';
import type { GateActivation } from '../../ops/mlp.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import { Linear } from './linear.ts';

const activations = {
  relu,
  silu,
  gelu: (x: Value) => gelu(x),
  geluTanh: (x: Value) => gelu(x, { approximate: 'tanh' }),
};

export interface MlpSizes {
  readonly size: number;
  readonly hidden: number;
  /** Default `size`. */
  readonly outputs?: number;
  /** Default true for {@link Mlp}, false for {@link GatedMlp}. */
  readonly bias?: boolean;
  /** Standard deviation of the matrices at the beginning. Default: as `Linear`. */
  readonly deviation?: number;
}

/** `fc2(activation(fc1(x)))`; names as in ViT, CLIP and OPT checkpoints. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly #activation: keyof typeof activations;

  /** The activation is `gelu` by default. */
  constructor(init: Initializer, options: MlpSizes & { readonly activation?: keyof typeof activations }) {
    super();
    const { size, hidden, outputs = size, bias = true, deviation } = options;
    this.fc1 = new Linear(init, { inputs: size, outputs: hidden, bias, deviation });
    this.fc2 = new Linear(init, { inputs: hidden, outputs, bias, deviation });
    this.#activation = options.activation ?? 'gelu';
  }

  /** @param x floats [..., size] @returns f32 [..., outputs] */
  forward(x: Value): Value {
    return x.gpu.tidy(() => this.fc2.forward(activations[this.#activation](this.fc1.forward(x))));
  }
}

/** `down_proj(activation(gate_proj(x)) * up_proj(x))`; names as in Llama's checkpoints. */
export class GatedMlp extends Module {
  readonly gate_proj: Linear;
  readonly up_proj: Linear;
  readonly down_proj: Linear;
  readonly #activation: GateActivation;

  /** The activation is `silu` by default. */
  constructor(init: Initializer, options: MlpSizes & { readonly activation?: GateActivation }) {
    super();
    const { size, hidden, outputs = size, bias = false, deviation } = options;
    this.gate_proj = new Linear(init, { inputs: size, outputs: hidden, bias, deviation });
    this.up_proj = new Linear(init, { inputs: size, outputs: hidden, bias, deviation });
    this.down_proj = new Linear(init, { inputs: hidden, outputs, bias, deviation });
    this.#activation = options.activation ?? 'silu';
  }

  /** @param x floats [..., size] @returns f32 [..., outputs] */
  forward(x: Value): Value {
    return x.gpu.tidy(() => {
      const [gate, up] = [this.gate_proj.forward(x), this.up_proj.forward(x)];
      return this.down_proj.forward(gatedActivation(gate, up, { activation: this.#activation }));
    });
  }
}
