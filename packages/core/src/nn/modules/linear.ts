import { linear, type Value } from '../../autodiff/index.ts';
import { ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';

export interface LinearSizes {
  readonly inputs: number;
  readonly outputs: number;
  /** Default true. A tensor [outputs] is taken over. */
  readonly bias?: boolean | Tensor;
  /** [outputs, inputs] of any float or quantized dtype, taken over in place of random numbers; frozen unless f32. */
  readonly weight?: Tensor;
  /** The weight begins normal with this standard deviation instead. */
  readonly deviation?: number | undefined;
}

/** `x weight^T + bias`; weight [outputs, inputs]. Initialised as PyTorch's: uniform within 1 / sqrt(inputs). */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  /** What the products read; see `setPrecision`. Default `f32`. */
  precision: 'f32' | 'f16' = 'f32';

  /** @throws ShapeError for a weight of another shape */
  constructor(init: Initializer, { inputs, outputs, bias = true, weight, deviation }: LinearSizes) {
    super();
    if (weight && !sameShape(weight.shape, [outputs, inputs])) {
      throw new ShapeError('Linear', `the weight is [${weight.shape}]; the sizes ask for [${outputs}, ${inputs}].`);
    }
    const bound = 1 / Math.sqrt(inputs);
    if (weight) this.weight = new Parameter(weight);
    else if (deviation === undefined) this.weight = init.uniform([outputs, inputs], bound);
    else this.weight = init.normal([outputs, inputs], deviation);
    if (typeof bias === 'boolean') this.bias = bias ? init.uniform([outputs], bound) : undefined;
    else this.bias = new Parameter(bias);
  }

  /** @param x floats [..., inputs] @returns f32 [..., outputs] */
  forward(x: Value): Value {
    const { precision, bias } = this;
    return linear(x, this.weight.value, { precision, ...(bias ? { bias: bias.value } : {}) });
  }
}
