import { LimitError, ShapeError } from '../errors.ts';
import { isQuantized, type PlainDtype, plainBytes } from '../tensor/dtype.ts';
import { quantizedBytes } from '../tensor/quantized.ts';
import type { StoragePiece } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { BufferRange } from './bind-groups.ts';
import type { Capabilities } from './capabilities.ts';

/** GPU bytes of a tensor's elements. */
export function bytesOf({ dtype, size }: Tensor): number {
  return isQuantized(dtype) ? quantizedBytes(dtype, size) : plainBytes(dtype, size);
}

/**
 * The byte range that binds a tensor as it is.
 * @throws LimitError for a split tensor; ShapeError for one that is strided, or starts off the device's alignment
 */
export function bindingRange(tensor: Tensor, capabilities: Capabilities, operation: string): BufferRange {
  const [piece, second] = tensor.storage.pieces;
  if (second) {
    throw new LimitError(
      `${operation}: ${tensor.dtype}[${tensor.shape}] in one binding`,
      bytesOf(tensor),
      'maxStorageBufferBindingSize',
      capabilities.maxStorageBinding,
    );
  }
  if (!tensor.contiguous) {
    throw new ShapeError(operation, `needs contiguous tensors; [${tensor.shape}] has strides [${tensor.strides}].`);
  }
  const { buffer } = piece as StoragePiece;
  if (isQuantized(tensor.dtype)) {
    if (!isWholeQuantized(tensor)) {
      throw new ShapeError(operation, `[${tensor.shape}] is a view of part of a quantized tensor.`);
    }
    return { buffer, offset: 0, bytes: buffer.bytes };
  }
  const offset = startByte(tensor.dtype, tensor.offset);
  if (offset % capabilities.storageAlignment !== 0) {
    throw new ShapeError(
      operation,
      `a view at byte ${offset} cannot be bound (alignment ${capabilities.storageAlignment}).`,
    );
  }
  const bytes = Math.max(plainBytes(tensor.dtype, tensor.size), 4);
  return { buffer, offset, bytes: offset + bytes > buffer.bytes ? buffer.bytes - offset : bytes };
}

/** Whether {@link bindingRange} accepts the tensor. */
export function isBindable(tensor: Tensor, { storageAlignment }: Capabilities): boolean {
  if (!tensor.contiguous || tensor.storage.pieces.length > 1) return false;
  if (isQuantized(tensor.dtype)) return isWholeQuantized(tensor);
  return startByte(tensor.dtype, tensor.offset) % storageAlignment === 0;
}

function startByte(dtype: PlainDtype, offset: number): number {
  return (offset * plainBytes(dtype, 2)) / 2;
}

/** Whether a quantized tensor is all of its storage: the scales stand behind all quants, so rows cannot be cut out. */
function isWholeQuantized(tensor: Tensor): boolean {
  const rows = tensor.storage.pieces.reduce((sum, piece) => sum + piece.rows, 0);
  return tensor.offset === 0 && tensor.shape[0] === rows;
}
