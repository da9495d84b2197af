import { ArgumentError, ShapeError } from '../errors.ts';
import { blockSizes } from '../tensor/blocks/block-type.ts';
import { bytesPerElement, type Dtype, isQuantized } from '../tensor/dtype.ts';
import { packQuantized } from '../tensor/pack-quantized.ts';
import { quantizedLayout } from '../tensor/quantized.ts';
import { elementCount } from '../tensor/shape.ts';
import type { StoragePiece } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Fills rows of a new tensor from host memory, so that a weight larger than the host's memory can be uploaded part by part.
 * For loaders only: tensors do not change once something has read them.
 *
 * @param tensor Whole (no view), of any dtype.
 * @param firstRow Index along the leading axis.
 * @param bytes Whole rows: little-endian elements, or for quantized dtypes GGUF blocks.
 * @throws ShapeError where the bytes are not whole rows or pass the end, for views, and where rows of f16 or bf16 do not begin and
 *   end at whole 32-bit words inside the tensor.
 */
export function writeRows(tensor: Tensor, firstRow: number, bytes: Uint8Array): void {
  const { shape, dtype, gpu } = tensor;
  const [rows = 1] = shape;
  const { pieces } = tensor.storage;
  const held = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  if (tensor.offset !== 0 || !tensor.contiguous || (shape.length > 0 && held !== rows)) {
    throw new ShapeError('writeRows', `${dtype}[${shape}] is a view.`);
  }
  if (!Number.isInteger(firstRow) || firstRow < 0) throw new ArgumentError('writeRows: firstRow', firstRow, 'a row');
  if (bytes.byteLength === 0) return;
  const perRow = rowBytes(dtype, shape);
  const count = bytes.byteLength / perRow;
  if (!Number.isInteger(count) || firstRow + count > rows) {
    const given = `${bytes.byteLength} bytes from row ${firstRow} on`;
    throw new ShapeError('writeRows', `${given} do not fit ${dtype}[${shape}] with rows of ${perRow} bytes.`);
  }
  for (const piece of pieces) {
    const start = Math.max(firstRow, piece.rowStart);
    const end = Math.min(firstRow + count, piece.rowStart + piece.rows);
    if (start >= end) continue;
    const part = bytes.subarray((start - firstRow) * perRow, (end - firstRow) * perRow);
    if (isQuantized(dtype)) {
      writeBlocks(tensor, dtype, piece, start - piece.rowStart, part);
      continue;
    }
    const offset = (start - piece.rowStart) * perRow;
    const inside = end < piece.rowStart + piece.rows;
    if (offset % 4 !== 0 || (inside && part.byteLength % 4 !== 0)) {
      throw new ShapeError('writeRows', `rows ${start} to ${end} of ${dtype}[${shape}] are not whole 32-bit words.`);
    }
    gpu.write({ buffer: piece.buffer, offset, bytes: piece.buffer.bytes - offset }, part);
  }
}

/** Bytes of one row (one index along the leading axis) as a file holds it. */
export function rowBytes(dtype: Dtype, shape: readonly number[]): number {
  const elements = elementCount(shape.slice(1));
  if (!isQuantized(dtype)) return elements * bytesPerElement[dtype];
  const block = blockSizes[dtype];
  return (elements / block.elements) * block.bytes;
}

function writeBlocks(
  { gpu, shape }: Tensor,
  dtype: Parameters<typeof packQuantized>[0],
  piece: StoragePiece,
  row: number,
  gguf: Uint8Array,
): void {
  const { buffer } = piece;
  const elements = elementCount(shape.slice(1));
  const { scaleOffset } = quantizedLayout(dtype, piece.rows * elements);
  const before = quantizedLayout(dtype, row * elements);
  const { quants, scales } = packQuantized(dtype, gguf);
  gpu.write({ buffer, offset: before.quantBytes, bytes: quants.byteLength }, quants);
  gpu.write({ buffer, offset: scaleOffset + before.scaleBytes, bytes: scales.byteLength }, scales);
}
