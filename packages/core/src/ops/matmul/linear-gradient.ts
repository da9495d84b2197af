import { isQuantized } from '../../tensor/dtype.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { dequantize } from './dequantize.ts';
import { matmul } from './matmul.ts';

/** The leading axes as one: [rows, columns]. */
function asMatrix(x: Tensor): Tensor {
  const columns = x.shape.at(-1) as number;
  return contiguous(x).reshape([elementCount(x.shape.slice(0, -1)), columns]);
}

/**
 * The gradient of {@link linear} by x: `gradient weight`. A quantized weight is dequantized whole for the time of the product.
 *
 * @param gradient f32 [..., N]
 * @param weight [N, K], float or quantized
 * @returns f32 [..., K]
 * @throws LimitError for a weight over the device's binding limit once dequantized.
 */
export function linearInputGradient(gradient: Tensor, weight: Tensor): Tensor {
  return gradient.gpu.tidy(() => {
    const matrix = isQuantized(weight.dtype) ? dequantize(weight) : weight;
    const product = matmul(asMatrix(gradient), matrix);
    return product.reshape([...gradient.shape.slice(0, -1), weight.shape[1] as number]);
  });
}

/**
 * The gradient of {@link linear} by its weight: `gradient^T x`, over all rows.
 *
 * @param gradient f32 [..., N]
 * @param x floats [..., K]
 * @returns f32 [N, K]
 */
export function linearWeightGradient(gradient: Tensor, x: Tensor): Tensor {
  return gradient.gpu.tidy(() => matmul(asMatrix(gradient).transpose(), asMatrix(x)));
}
