import type { BufferRange } from '../device/bind-groups.ts';
import type { Gpu } from '../device/gpu.ts';
import { LimitError, ShapeError } from '../errors.ts';
import { bytesPerElement, isQuantized } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A strided tensor as a kernel takes it: the whole buffer is bound, so that bind groups do not depend on the view. */
export interface StridedInput {
  readonly range: BufferRange;
  /** Of the first element, in elements from the start of the binding. */
  readonly start: number;
  readonly strides: readonly number[];
}

/** @throws ShapeError when the last axis is not dense; @throws LimitError when the buffer is over the binding limit. */
export function stridedInput(gpu: Gpu, operation: string, name: string, tensor: Tensor): StridedInput {
  if (isQuantized(tensor.dtype)) throw new ShapeError(operation, `${name} is ${tensor.dtype}; it takes f32 or f16.`);
  if (tensor.size > 1 && tensor.shape.at(-1) !== 1 && tensor.strides.at(-1) !== 1) {
    throw new ShapeError(operation, `${name} [${tensor.shape}] has strides [${tensor.strides}]; the last must be 1.`);
  }
  const [piece, second] = tensor.storage.pieces;
  const { maxStorageBinding, storageAlignment } = gpu.capabilities;
  if (second || !piece) {
    throw new LimitError(
      `${operation}: ${name} ${tensor.dtype}[${tensor.shape}] in one binding`,
      gpu.bytesOf(tensor),
      'maxStorageBufferBindingSize',
      maxStorageBinding,
    );
  }
  const width = bytesPerElement[tensor.dtype];
  const { buffer } = piece;
  if (buffer.bytes <= maxStorageBinding) {
    return { range: { buffer, offset: 0, bytes: buffer.bytes }, start: tensor.offset, strides: tensor.strides };
  }
  // Pooled buffers are rounded up and may pass the limit although the tensor does not.
  const offset = Math.floor((tensor.offset * width) / storageAlignment) * storageAlignment;
  const bytes = Math.min(buffer.bytes - offset, maxStorageBinding);
  return { range: { buffer, offset, bytes }, start: tensor.offset - offset / width, strides: tensor.strides };
}

/** Whether every row of the view starts at a multiple of four elements. */
export function inQuads(input: StridedInput): boolean {
  return [input.start, ...input.strides.slice(0, -1)].every((value) => value % 4 === 0);
}

/** Start and strides over batch entries, heads and rows; ragged storage has only the last. */
export function placeOf({ start, strides }: StridedInput): number[] {
  const [batch = 0, head = 0, row] = strides.length === 2 ? [0, 0, ...strides] : strides;
  return [start, batch, head, row as number];
}
