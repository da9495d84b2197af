import * as ops from '../../ops/convolution/convolution.ts';
import {
  convolutionBiasGradient,
  convolutionInputGradient,
  convolutionWeightGradient,
} from '../../ops/convolution/convolution-gradient.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** The bias may be tracked; the rest is as in {@link ops.ConvolutionOptions}. */
export interface DifferentiableConvolutionOptions extends Omit<ops.ConvolutionOptions, 'bias'> {
  readonly bias?: Value;
}

/** The bias may be tracked; the rest is as in {@link ops.TransposedConvolutionOptions}. */
export interface DifferentiableTransposedConvolutionOptions extends Omit<ops.TransposedConvolutionOptions, 'bias'> {
  readonly bias?: Value;
}

function convolution(
  kind: ops.ConvolutionKind,
  op: typeof ops.convTranspose2d,
  input: Value,
  weight: Value,
  { bias, ...options }: DifferentiableTransposedConvolutionOptions,
): Value {
  const inputs: readonly Value[] = bias ? [input, weight, bias] : [input, weight];
  return differentiable(kind.operation, inputs, (...tensors) => {
    const [x, w, b] = tensors as [Tensor, Tensor, Tensor?];
    return {
      output: op(x, w, b ? { ...options, bias: b } : options),
      gradients: [
        from([w], (gradient, saved) => convolutionInputGradient(kind, gradient, saved, x.shape, options)),
        from([x], (gradient, saved) => convolutionWeightGradient(kind, gradient, saved, w.shape, options)),
        from([], convolutionBiasGradient),
      ],
    };
  });
}

/** {@link ops.conv1d} */
export function conv1d(x: Value, weight: Value, options: DifferentiableConvolutionOptions = {}): Value {
  return convolution(ops.convolutionKinds.conv1d, ops.conv1d, x, weight, options);
}

/** {@link ops.conv2d} */
export function conv2d(x: Value, weight: Value, options: DifferentiableConvolutionOptions = {}): Value {
  return convolution(ops.convolutionKinds.conv2d, ops.conv2d, x, weight, options);
}

/** {@link ops.convTranspose1d} */
export function convTranspose1d(
  x: Value,
  weight: Value,
  options: DifferentiableTransposedConvolutionOptions = {},
): Value {
  return convolution(ops.convolutionKinds.convTranspose1d, ops.convTranspose1d, x, weight, options);
}

/** {@link ops.convTranspose2d} */
export function convTranspose2d(
  x: Value,
  weight: Value,
  options: DifferentiableTransposedConvolutionOptions = {},
): Value {
  return convolution(ops.convolutionKinds.convTranspose2d, ops.convTranspose2d, x, weight, options);
}
