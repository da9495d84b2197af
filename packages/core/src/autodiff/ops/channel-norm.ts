import * as ops from '../../ops/channel-norm/channel-norm.ts';
import { channelNormGradients } from '../../ops/channel-norm/channel-norm-gradient.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { record, type Value } from '../tape.ts';

/** Weight and bias may be tracked; the rest is as in {@link ops.ChannelNormOptions}. */
export interface DifferentiableChannelNormOptions extends Omit<ops.ChannelNormOptions, 'weight' | 'bias'> {
  readonly weight?: Value;
  readonly bias?: Value;
}

export interface DifferentiableBatchNormOptions extends DifferentiableChannelNormOptions {
  /** The moments are `channelMoments` of x, as in training: the gradient goes through them too. Default false. */
  readonly momentsOfInput?: boolean;
}

type Forward = (
  x: Tensor,
  options: ops.ChannelNormOptions,
) => { readonly output: Tensor; readonly moments: ops.Moments };

function channelNorm(name: string, input: Value, options: DifferentiableBatchNormOptions, forward: Forward): Value {
  const { weight, bias, momentsOfInput = true, epsilon = ops.defaultEpsilon } = options;
  const inputs = [input, ...(weight ? [weight] : []), ...(bias ? [bias] : [])];
  return record(name, inputs, (...tensors) => {
    const [x, ...others] = tensors as [Tensor, ...Tensor[]];
    const [w, b] = weight ? others : [undefined, others[0]];
    const { output, moments } = forward(x, { ...(w ? { weight: w } : {}), ...(b ? { bias: b } : {}), epsilon });
    return {
      output,
      saved: [x, moments.mean, moments.variance, ...(w ? [w] : [])],
      backward: (gradient, saved) => {
        const [own, mean, variance, scale] = saved as [Tensor, Tensor, Tensor, Tensor?];
        const moments = { mean, variance };
        const found = channelNormGradients({ x: own, gradient, moments, weight: scale, epsilon, momentsOfInput });
        return [found.x, ...(weight ? [found.weight] : []), ...(bias ? [found.bias] : [])];
      },
    };
  });
}

/** {@link ops.batchNorm} */
export function batchNorm(input: Value, moments: ops.Moments, options: DifferentiableBatchNormOptions = {}): Value {
  return channelNorm('batchNorm', input, { momentsOfInput: false, ...options }, (x, plain) => ({
    output: ops.batchNorm(x, moments, plain),
    moments,
  }));
}

/** {@link ops.groupNorm} */
export function groupNorm(input: Value, groups: number, options: DifferentiableChannelNormOptions = {}): Value {
  return channelNorm('groupNorm', input, options, (x, plain) => ops.normalizeGroups(x, groups, plain));
}
