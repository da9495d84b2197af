import { elementCount, type Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { sum } from '../reduce.ts';
import { type ConvolutionKind, convolutionSizes, type TransposedConvolutionOptions } from './convolution.ts';
import { asImages, convolve, convolveInputGradient, convolveWeightGradient } from './convolve.ts';

/**
 * The gradient of a convolution by x: the transposed convolution; of a transposed one the convolution.
 *
 * @param gradient f32, of the output
 * @param shape of x
 * @returns f32 in the shape of x
 */
export function convolutionInputGradient(
  kind: ConvolutionKind,
  gradient: Tensor,
  weight: Tensor,
  shape: Shape,
  options: TransposedConvolutionOptions,
): Tensor {
  const sizes = convolutionSizes(kind, { x: shape, weight: weight.shape }, options);
  return gradient.gpu.tidy(() => {
    const outputs = asImages(gradient);
    const result = kind.transposed ? convolve(outputs, weight, sizes) : convolveInputGradient(outputs, weight, sizes);
    return result.reshape(shape);
  });
}

/**
 * The gradient of a convolution by its weight.
 *
 * @param gradient f32, of the output
 * @param shape of the weight
 * @returns f32 in the shape of the weight
 */
export function convolutionWeightGradient(
  kind: ConvolutionKind,
  gradient: Tensor,
  x: Tensor,
  shape: Shape,
  options: TransposedConvolutionOptions,
): Tensor {
  const sizes = convolutionSizes(kind, { x: x.shape, weight: shape }, options);
  return gradient.gpu.tidy(() => {
    const [images, outputs] = [asImages(x), asImages(gradient)];
    const result = kind.transposed
      ? convolveWeightGradient(outputs, images, sizes)
      : convolveWeightGradient(images, outputs, sizes);
    return result.reshape(shape);
  });
}

/** The gradient of a convolution by its bias: f32 [O], the sum over images and positions. */
export function convolutionBiasGradient(gradient: Tensor): Tensor {
  return gradient.gpu.tidy(() => {
    const [images, outputs, ...positions] = gradient.shape as [number, number, ...number[]];
    const planes = contiguous(gradient).reshape([images, outputs, elementCount(positions)]);
    return sum(sum(planes, { axis: 2 }), { axis: 0 });
  });
}
