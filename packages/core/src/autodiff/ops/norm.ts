import * as ops from '../../ops/norm.ts';
import { type NormKind, normInputGradient, normWeightGradient } from '../../ops/norm-gradient.ts';
import { sumTo } from '../../ops/sum-to.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from, type InputGradient } from '../differentiable.ts';
import type { Value } from '../tape.ts';

type Options = Pick<ops.NormOptions, 'epsilon'>;

function gradients(kind: NormKind, x: Tensor, weight: Tensor, epsilon: number): InputGradient[] {
  return [
    from([x, weight], (gradient, input, own) => normInputGradient(kind, { x: input, weight: own, gradient, epsilon })),
    // The weight is passed for its shape alone.
    from([x, weight], (gradient, input, own) => normWeightGradient(kind, { x: input, weight: own, gradient, epsilon })),
  ];
}

/** {@link ops.rmsNorm} */
export function rmsNorm(input: Value, weight: Value, options: Options = {}): Value {
  const { epsilon = 1e-6 } = options;
  return differentiable('rmsNorm', [input, weight], (x, w) => ({
    output: ops.rmsNorm(x, w, { epsilon }),
    gradients: gradients('rms', x, w, epsilon),
  }));
}

/** {@link ops.layerNorm} */
export function layerNorm(input: Value, weight: Value, bias?: Value, options: Options = {}): Value {
  const { epsilon = 1e-5 } = options;
  const inputs: readonly Value[] = bias ? [input, weight, bias] : [input, weight];
  return differentiable('layerNorm', inputs, (...tensors) => {
    const [x, w, b] = tensors as [Tensor, Tensor, Tensor?];
    return {
      output: ops.layerNorm(x, w, b, { epsilon }),
      gradients: [...gradients('layer', x, w, epsilon), b && from([], (gradient) => sumTo(gradient, b.shape))],
    };
  });
}
