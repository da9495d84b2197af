import { cast as castTensor, contiguous as contiguousTensor } from '../../ops/copy.ts';
import * as ops from '../../ops/elementwise.ts';
import {
  type DifferentiableUnary,
  extremeShare,
  gradientReads,
  unaryGradient,
} from '../../ops/elementwise-gradient.ts';
import { sumTo } from '../../ops/sum-to.ts';
import type { PlainDtype } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

function unary(operation: DifferentiableUnary, input: Value, forward: (x: Tensor) => Tensor, alpha = 0): Value {
  return differentiable(operation, [input], (x) => {
    const output = forward(x);
    const read = gradientReads(operation) === 'input' ? x : output;
    return { output, gradients: [from([read], (gradient, saved) => unaryGradient(operation, saved, gradient, alpha))] };
  });
}

/** {@link ops.add} */
export function add(left: Value, right: Value): Value {
  return differentiable('add', [left, right], (a, b) => ({
    output: ops.add(a, b),
    gradients: [a, b].map(({ shape }) => from([], (gradient) => sumTo(gradient, shape))),
  }));
}

/** {@link ops.subtract} */
export function subtract(left: Value, right: Value): Value {
  return differentiable('subtract', [left, right], (a, b) => ({
    output: ops.subtract(a, b),
    gradients: [
      from([], (gradient) => sumTo(gradient, a.shape)),
      from([], (gradient) => ops.negate(sumTo(gradient, b.shape))),
    ],
  }));
}

/** {@link ops.multiply} */
export function multiply(left: Value, right: Value): Value {
  return differentiable('multiply', [left, right], (a, b) => ({
    output: ops.multiply(a, b),
    gradients: [
      from([b], (gradient, other) => sumTo(ops.multiply(gradient, other), a.shape)),
      from([a], (gradient, other) => sumTo(ops.multiply(gradient, other), b.shape)),
    ],
  }));
}

/** {@link ops.divide} */
export function divide(left: Value, right: Value): Value {
  return differentiable('divide', [left, right], (a, b) => {
    const output = ops.divide(a, b);
    return {
      output,
      gradients: [
        from([b], (gradient, divisor) => sumTo(ops.divide(gradient, divisor), a.shape)),
        from([b, output], (gradient, divisor, quotient) =>
          ops.negate(sumTo(ops.divide(ops.multiply(gradient, quotient), divisor), b.shape)),
        ),
      ],
    };
  });
}

function extreme(op: typeof ops.maximum, wins: 'greater' | 'less', left: Value, right: Value): Value {
  return differentiable(op.name, [left, right], (a, b) => ({
    output: op(a, b),
    gradients: [
      from([a, b], (gradient, own, other) => sumTo(ops.multiply(gradient, extremeShare(own, other, wins)), a.shape)),
      from([b, a], (gradient, own, other) => sumTo(ops.multiply(gradient, extremeShare(own, other, wins)), b.shape)),
    ],
  }));
}

/** {@link ops.maximum}. Equal elements share the gradient. */
export function maximum(a: Value, b: Value): Value {
  return extreme(ops.maximum, 'greater', a, b);
}

/** {@link ops.minimum}. Equal elements share the gradient. */
export function minimum(a: Value, b: Value): Value {
  return extreme(ops.minimum, 'less', a, b);
}

/** {@link ops.scale} */
export function scale(input: Value, factor: number, offset = 0): Value {
  return differentiable('scale', [input], (x) => ({
    output: ops.scale(x, factor, offset),
    gradients: [from([], (gradient) => ops.scale(gradient, factor))],
  }));
}

/** {@link ops.negate} */
export function negate(input: Value): Value {
  return differentiable('negate', [input], (x) => ({
    output: ops.negate(x),
    gradients: [from([], (gradient) => ops.negate(gradient))],
  }));
}

/** {@link castTensor}, between floats; the gradient stays f32. */
export function cast(input: Value, dtype: PlainDtype): Value {
  return differentiable('cast', [input], (x) => ({
    output: castTensor(x, dtype),
    gradients: [from([], (gradient) => gradient)],
  }));
}

/** {@link contiguousTensor} */
export function contiguous(input: Value): Value {
  return differentiable('contiguous', [input], (x) => ({
    output: contiguousTensor(x),
    gradients: [from([], (gradient) => gradient)],
  }));
}

/** {@link ops.exp} */
export function exp(x: Value): Value {
  return unary('exp', x, ops.exp);
}

/** {@link ops.log} */
export function log(x: Value): Value {
  return unary('log', x, ops.log);
}

/** {@link ops.sqrt} */
export function sqrt(x: Value): Value {
  return unary('sqrt', x, ops.sqrt);
}

/** {@link ops.rsqrt} */
export function rsqrt(x: Value): Value {
  return unary('rsqrt', x, ops.rsqrt);
}

/** {@link ops.reciprocal} */
export function reciprocal(x: Value): Value {
  return unary('reciprocal', x, ops.reciprocal);
}

/** {@link ops.absolute}. The gradient at 0 is 0. */
export function absolute(x: Value): Value {
  return unary('absolute', x, ops.absolute);
}

/** {@link ops.square} */
export function square(x: Value): Value {
  return unary('square', x, ops.square);
}

/** {@link ops.sigmoid} */
export function sigmoid(x: Value): Value {
  return unary('sigmoid', x, ops.sigmoid);
}

/** {@link ops.tanh} */
export function tanh(x: Value): Value {
  return unary('tanh', x, ops.tanh);
}

/** {@link ops.relu}. The gradient at 0 is 0. */
export function relu(x: Value): Value {
  return unary('relu', x, ops.relu);
}

/** {@link ops.silu} */
export function silu(x: Value): Value {
  return unary('silu', x, ops.silu);
}

/** {@link ops.gelu} */
export function gelu(x: Value, options: ops.GeluOptions = {}): Value {
  return unary(ops.geluOperations[options.approximate ?? 'none'], x, (tensor) => ops.gelu(tensor, options));
}

/** {@link ops.leakyRelu}. The gradient at 0 is the slope. */
export function leakyRelu(x: Value, slope = 0.01): Value {
  return unary('leakyRelu', x, (tensor) => ops.leakyRelu(tensor, slope), slope);
}

/** {@link ops.elu}. The gradient at 0 is alpha. */
export function elu(x: Value, alpha = 1): Value {
  return unary('elu', x, (tensor) => ops.elu(tensor, alpha), alpha);
}

/** {@link ops.softplus} */
export function softplus(x: Value): Value {
  return unary('softplus', x, ops.softplus);
}

/** {@link ops.hardSigmoid}. The gradient at its kinks is 0. */
export function hardSigmoid(x: Value): Value {
  return unary('hardSigmoid', x, ops.hardSigmoid);
}

/** {@link ops.hardSwish}. The gradient at its kinks is that of the flat and the straight part. */
export function hardSwish(x: Value): Value {
  return unary('hardSwish', x, ops.hardSwish);
}
