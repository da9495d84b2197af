import { cast } from '../../ops/copy.ts';
import { type LinearOptions, linear as linearOp } from '../../ops/matmul/linear.ts';
import { linearInputGradient, linearWeightGradient } from '../../ops/matmul/linear-gradient.ts';
import { type MatmulOptions, matmul as matmulOp } from '../../ops/matmul/matmul.ts';
import { sumTo } from '../../ops/sum-to.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link matmulOp} */
export function matmul(left: Value, right: Value, options: MatmulOptions = {}): Value {
  return differentiable('matmul', [left, right], (a, b) => ({
    output: matmulOp(a, b, options),
    gradients: [
      from([b], (gradient, other) => sumTo(matmulOp(gradient, other.transpose()), a.shape)),
      from([a], (gradient, other) => sumTo(matmulOp(other.transpose(), gradient), b.shape)),
    ],
  }));
}

/** Bias and residual may be tracked; the rest is as in {@link LinearOptions}. */
export interface DifferentiableLinearOptions extends Omit<LinearOptions, 'bias' | 'residual'> {
  readonly bias?: Value;
  readonly residual?: Value;
  /**
   * What the products read, in both passes: `f16` rounds x, the weight and the gradient of the output, and keeps x for the backward pass in
   * half the memory, beside a rounded weight. Sums and results are f32. Gradients below 6e-8 vanish and those over 65,504 overflow: scale the loss. Default
   * `f32`: the operands as they are.
   */
  readonly precision?: 'f32' | 'f16';
}

/** {@link linearOp}. A quantized or split weight is a constant: x, bias and residual get gradients. */
export function linear(input: Value, weight: Value, options: DifferentiableLinearOptions = {}): Value {
  const { bias, residual, precision = 'f32', ...rest } = options;
  const inputs = [input, weight, ...(bias ? [bias] : []), ...(residual ? [residual] : [])];
  const rounded = (x: Tensor) => (precision === 'f16' && x.dtype === 'f32' ? cast(x, 'f16') : x);
  return differentiable('linear', inputs, (...tensors) => {
    const [x, w, ...others] = tensors as [Tensor, Tensor, ...Tensor[]];
    const [b, r] = bias ? others : [undefined, others[0]];
    const [left, right] = [rounded(x), rounded(w)];
    const output = linearOp(left, right, { ...rest, ...(b ? { bias: b } : {}), ...(r ? { residual: r } : {}) });
    return {
      output,
      gradients: [
        from([right], (gradient, saved) => linearInputGradient(rounded(gradient), saved)),
        from([left], (gradient, saved) => linearWeightGradient(rounded(gradient), saved)),
        ...others.map(({ shape }) => from([], (gradient) => sumTo(gradient, shape))),
      ],
    };
  });
}
