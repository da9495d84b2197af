/** Turns tensors into the operands of a product: ranges, offsets and merged batch axes. */
import type { BufferRange } from '../../device/bind-groups.ts';
import { ArgumentError, LimitError, ShapeError } from '../../errors.ts';
import { type Dtype, isQuantized } from '../../tensor/dtype.ts';
import type { StoragePiece } from '../../tensor/storage.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { BatchAxes, BoundTensor, FloatDtype } from './product.ts';

/** Most batch axes that a product walks with strides. */
export const maxBatchAxes = 3;

/** Throws {@link ArgumentError} unless the tensor holds f32, f16 or bf16. */
export function floatDtype(argument: string, dtype: Dtype): FloatDtype {
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16')
    throw new ArgumentError(argument, dtype, 'f32, f16, bf16');
  return dtype;
}

/** The whole buffer of a tensor in one piece: strides and offset travel as parameters. */
export function wholeBuffer(tensor: Tensor, operation: string): BufferRange {
  const [piece, second] = tensor.storage.pieces;
  if (second) {
    const { maxStorageBinding } = tensor.gpu.capabilities;
    const what = `${operation}: ${tensor.dtype}[${tensor.shape}] in one binding`;
    throw new LimitError(what, tensor.gpu.bytesOf(tensor), 'maxStorageBufferBindingSize', maxStorageBinding);
  }
  return pieceBuffer(piece as StoragePiece);
}

/** The whole buffer of a piece. */
export function pieceBuffer(piece: StoragePiece): BufferRange {
  return { buffer: piece.buffer, offset: 0, bytes: piece.buffer.bytes };
}

/** A contiguous, bindable tensor of an epilogue. */
export function boundTensor(argument: string, tensor: Tensor, operation: string): BoundTensor {
  return { range: tensor.gpu.range(tensor, operation), dtype: floatDtype(argument, tensor.dtype) };
}

/** Sizes or strides of up to three axes, given innermost first, as the kernels take them. */
export function batchAxes(innermostFirst: readonly number[], missing: number): BatchAxes {
  const at = (index: number) => innermostFirst[index] ?? missing;
  return [at(2), at(1), at(0)];
}

/** Throws {@link ShapeError} for views of part of a quantized or split tensor: their planes are addressed from the start. */
export function requireWhole(operation: string, tensor: Tensor): void {
  const held = tensor.storage.pieces.reduce((sum, piece) => sum + piece.rows, 0);
  const [rows = 1] = tensor.shape;
  if (tensor.contiguous && tensor.offset === 0 && held === rows) return;
  const kind = isQuantized(tensor.dtype) ? 'quantized' : 'split';
  throw new ShapeError(operation, `${tensor.dtype}[${tensor.shape}] is a view of part of a ${kind} tensor.`);
}
