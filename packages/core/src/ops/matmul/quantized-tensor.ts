import type { Gpu } from '../../device/gpu.ts';
import { ArgumentError, ShapeError } from '../../errors.ts';
import { blockSizes } from '../../tensor/blocks/block-type.ts';
import { isQuantized, type QuantizedDtype, quantizedDtypes } from '../../tensor/dtype.ts';
import { elementCount, type Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { writeRows } from '../write-rows.ts';

/**
 * Uploads block-quantized weights as a GGUF file holds them. They stay quantized in GPU memory; every bit of scales and
 * quants is kept.
 *
 * @param dtype One of {@link quantizedDtypes}.
 * @param shape Row-major, outermost first (a GGUF file lists sizes innermost first); the last size in whole blocks.
 * @param ggufBytes The tensor's blocks, row after row.
 * @throws ShapeError where the last axis is not whole blocks or the bytes do not fill the shape.
 */
export function quantizedTensor(gpu: Gpu, dtype: QuantizedDtype, shape: Shape, ggufBytes: Uint8Array): Tensor {
  if (!isQuantized(dtype)) throw new ArgumentError('quantizedTensor: dtype', dtype, quantizedDtypes.join(', '));
  const inner = shape.at(-1) ?? 0;
  const { elements, bytes } = blockSizes[dtype];
  if (inner % elements !== 0 || shape.length === 0) {
    throw new ShapeError('quantizedTensor', `the last axis of [${shape}] is not a multiple of ${elements} (${dtype}).`);
  }
  const expected = (elementCount(shape) / elements) * bytes;
  if (ggufBytes.byteLength !== expected) {
    throw new ShapeError(
      'quantizedTensor',
      `${ggufBytes.byteLength} bytes are not ${dtype}[${shape}] (${expected} bytes).`,
    );
  }
  return gpu.tidy(() => {
    const tensor = gpu.empty(shape, dtype);
    writeRows(tensor, 0, ggufBytes);
    return tensor;
  });
}
