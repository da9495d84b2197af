import { conv1d, conv2d, convTranspose1d, convTranspose2d, type Value } from '../../autodiff/index.ts';
import { ArgumentError } from '../../errors.ts';
import type { PerAxis, WindowOptions } from '../../ops/windows.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';

export interface ConvolutionSettings extends WindowOptions {
  /** Channels of the input. */
  readonly inputs: number;
  /** Channels of the output. */
  readonly outputs: number;
  /** One number for every axis, or [rows, columns]. */
  readonly kernel: PerAxis;
  /** Default 1. */
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
}

export interface TransposedConvolutionSettings extends ConvolutionSettings {
  /** Default 0. */
  readonly outputPadding?: PerAxis;
}

/**
 * What all convolutions are: a weight and a bias. Initialised as PyTorch's: uniform within 1 / sqrt(elements of the weight per index of
 * its first axis).
 */
abstract class Convolution extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  protected readonly options: WindowOptions & { readonly groups: number; readonly outputPadding: PerAxis };

  constructor(init: Initializer, settings: TransposedConvolutionSettings, rank: 1 | 2, transposed: boolean) {
    super();
    const { inputs, outputs, kernel, groups = 1, bias = true, outputPadding = 0, ...rest } = settings;
    if (inputs % groups !== 0 || outputs % groups !== 0) {
      throw new ArgumentError('groups', groups, `a divisor of the ${inputs} input and ${outputs} output channels`);
    }
    const window = typeof kernel === 'number' ? new Array<number>(rank).fill(kernel) : kernel;
    if (window.length !== rank) throw new ArgumentError('kernel', kernel, `one number, or ${rank} of them`);
    const [first, second] = transposed ? [inputs, outputs] : [outputs, inputs];
    const perFirst = window.reduce((product, size) => product * size, second / groups);
    const bound = 1 / Math.sqrt(perFirst);
    this.weight = init.uniform([first, second / groups, ...window], bound);
    this.bias = bias ? init.uniform([outputs], bound) : undefined;
    this.options = { ...rest, groups, outputPadding };
  }

  protected withBias() {
    return this.bias ? { ...this.options, bias: this.bias.value } : this.options;
  }

  /** @param x floats [B, inputs, ...] @returns f32 [B, outputs, ...] */
  abstract forward(x: Value): Value;
}

/** A convolution of signals [B, C, L]; weight [outputs, inputs / groups, kernel]. */
export class Conv1d extends Convolution {
  constructor(init: Initializer, settings: ConvolutionSettings) {
    super(init, settings, 1, false);
  }

  forward(x: Value): Value {
    return conv1d(x, this.weight.value, this.withBias());
  }
}

/** A convolution of images [B, C, H, W]; weight [outputs, inputs / groups, rows, columns]. */
export class Conv2d extends Convolution {
  constructor(init: Initializer, settings: ConvolutionSettings) {
    super(init, settings, 2, false);
  }

  forward(x: Value): Value {
    return conv2d(x, this.weight.value, this.withBias());
  }
}

/** A transposed convolution of signals [B, C, L]; weight [inputs, outputs / groups, kernel]. */
export class ConvTranspose1d extends Convolution {
  constructor(init: Initializer, settings: TransposedConvolutionSettings) {
    super(init, settings, 1, true);
  }

  forward(x: Value): Value {
    return convTranspose1d(x, this.weight.value, this.withBias());
  }
}

/** A transposed convolution of images [B, C, H, W]; weight [inputs, outputs / groups, rows, columns]. */
export class ConvTranspose2d extends Convolution {
  constructor(init: Initializer, settings: TransposedConvolutionSettings) {
    super(init, settings, 2, true);
  }

  forward(x: Value): Value {
    return convTranspose2d(x, this.weight.value, this.withBias());
  }
}
