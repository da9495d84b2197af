import * as ops from '../../ops/softmax.ts';
import { logSoftmaxGradient, softmaxGradient } from '../../ops/softmax-gradient.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link ops.softmax} */
export function softmax(input: Value, options: ops.SoftmaxOptions = {}): Value {
  return differentiable('softmax', [input], (x) => {
    const output = ops.softmax(x, options);
    return { output, gradients: [from([output], (gradient, y) => softmaxGradient(y, gradient, options))] };
  });
}

/** {@link ops.logSoftmax} */
export function logSoftmax(input: Value, options: ops.SoftmaxOptions = {}): Value {
  return differentiable('logSoftmax', [input], (x) => {
    const output = ops.logSoftmax(x, options);
    return { output, gradients: [from([output], (gradient, y) => logSoftmaxGradient(y, gradient, options))] };
  });
}
