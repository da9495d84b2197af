import { batchNorm, groupNorm, stopGradient, type Value } from '../../autodiff/index.ts';
import { channelMoments, type Moments } from '../../ops/channel-norm/channel-norm.ts';
import { copyInto } from '../../ops/copy.ts';
import { add, scale } from '../../ops/elementwise.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';

export interface BatchNormSettings {
  /** Channels. */
  readonly size: number;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
  /** Share of the batch in the running averages at each step. Default 0.1. */
  readonly momentum?: number;
}

/**
 * Batch norm of [B, C, ...] of any rank, with the names of PyTorch's BatchNorm1d and BatchNorm2d. In training (see {@link Module.train}) it uses the
 * moments of the batch and moves the running ones; in evaluation it uses these. They are frozen parameters, as they belong to the state.
 */
export class BatchNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly running_mean: Parameter;
  readonly running_var: Parameter;
  readonly num_batches_tracked: Parameter;
  readonly #epsilon: number;
  readonly #momentum: number;

  constructor(init: Initializer, { size, epsilon = 1e-5, momentum = 0.1 }: BatchNormSettings) {
    super();
    this.weight = init.constant([size], 1);
    this.bias = init.constant([size], 0);
    this.running_mean = new Parameter(init.gpu.zeros([size]), { trainable: false });
    this.running_var = new Parameter(init.gpu.tensor(new Float32Array(size).fill(1)), { trainable: false });
    this.num_batches_tracked = new Parameter(init.gpu.zeros([], 'i32'));
    this.#epsilon = epsilon;
    this.#momentum = momentum;
  }

  /** @param x floats [B, C, ...] @returns f32 in the shape of x */
  forward(x: Value): Value {
    return x.gpu.tidy(() => {
      const { weight, bias, running_mean, running_var, training } = this;
      const moments = training
        ? this.#track(stopGradient(x))
        : { mean: running_mean.tensor, variance: running_var.tensor };
      return batchNorm(x, moments, {
        weight: weight.value,
        bias: bias.value,
        epsilon: this.#epsilon,
        momentsOfInput: training,
      });
    });
  }

  /** The moments of a batch; the running averages move a share of the way to them, the variance's to its unbiased estimate. */
  #track(x: Tensor): Moments {
    const moments = channelMoments(x);
    const count = x.size / (x.shape[1] as number);
    const move = ({ tensor }: Parameter, towards: Tensor, factor: number) =>
      copyInto(tensor, add(scale(tensor, 1 - this.#momentum), scale(towards, this.#momentum * factor)));
    move(this.running_mean, moments.mean, 1);
    move(this.running_var, moments.variance, count / Math.max(count - 1, 1));
    copyInto(this.num_batches_tracked.tensor, add(this.num_batches_tracked.tensor, x.gpu.tensor([1], [], 'i32')));
    return moments;
  }
}

export interface GroupNormSettings {
  readonly groups: number;
  /** Channels, a multiple of `groups`. */
  readonly size: number;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
}

/** Group norm of [B, C, ...]. */
export class GroupNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #groups: number;
  readonly #epsilon: number;

  constructor(init: Initializer, { groups, size, epsilon = 1e-5 }: GroupNormSettings) {
    super();
    this.weight = init.constant([size], 1);
    this.bias = init.constant([size], 0);
    this.#groups = groups;
    this.#epsilon = epsilon;
  }

  /** @param x floats [B, C, ...] @returns f32 in the shape of x */
  forward(x: Value): Value {
    const settings = { weight: this.weight.value, bias: this.bias.value, epsilon: this.#epsilon };
    return groupNorm(x, this.#groups, settings);
  }
}
