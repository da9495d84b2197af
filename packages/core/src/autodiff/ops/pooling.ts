import * as ops from '../../ops/pooling/pooling.ts';
import { adaptiveAvgPool2dGradient, avgPoolGradient, maxPoolGradient } from '../../ops/pooling/pooling-gradient.ts';
import type { AveragePoolOptions, MaxPoolOptions } from '../../ops/pooling/sizes.ts';
import type { PerAxis } from '../../ops/windows.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

function maxPool(op: typeof ops.maxPool2d, input: Value, options: MaxPoolOptions): Value {
  return differentiable(op.name, [input], (x) => ({
    output: op(x, options),
    gradients: [from([x], (gradient, saved) => maxPoolGradient(gradient, saved, options))],
  }));
}

function avgPool(op: typeof ops.avgPool2d, input: Value, options: AveragePoolOptions): Value {
  return differentiable(op.name, [input], (x) => ({
    output: op(x, options),
    gradients: [from([], (gradient) => avgPoolGradient(gradient, x.shape, options))],
  }));
}

/** {@link ops.maxPool1d}. Of equal largest elements the first one gets the gradient. */
export function maxPool1d(x: Value, options: MaxPoolOptions): Value {
  return maxPool(ops.maxPool1d, x, options);
}

/** {@link ops.maxPool2d}. Of equal largest elements the first one gets the gradient. */
export function maxPool2d(x: Value, options: MaxPoolOptions): Value {
  return maxPool(ops.maxPool2d, x, options);
}

/** {@link ops.avgPool1d} */
export function avgPool1d(x: Value, options: AveragePoolOptions): Value {
  return avgPool(ops.avgPool1d, x, options);
}

/** {@link ops.avgPool2d} */
export function avgPool2d(x: Value, options: AveragePoolOptions): Value {
  return avgPool(ops.avgPool2d, x, options);
}

/** {@link ops.adaptiveAvgPool2d} */
export function adaptiveAvgPool2d(input: Value, size: PerAxis): Value {
  return differentiable('adaptiveAvgPool2d', [input], (x) => ({
    output: ops.adaptiveAvgPool2d(x, size),
    gradients: [from([], (gradient) => adaptiveAvgPool2dGradient(gradient, x.shape))],
  }));
}
