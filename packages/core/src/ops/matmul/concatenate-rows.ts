import type { BufferRange } from '../../device/bind-groups.ts';
import { ArgumentError, ShapeError } from '../../errors.ts';
import { type Dtype, isQuantized, plainBytes } from '../../tensor/dtype.ts';
import { quantizedLayout } from '../../tensor/quantized.ts';
import type { StoragePiece } from '../../tensor/storage.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { requireWhole } from './operands.ts';

/**
 * Weights `[N1, K], [N2, K], ...` of one dtype as a single weight `[N1 + N2 + ..., K]`, so that one `linear` does the
 * work of several (query, key and value; gate and up). Quantized blocks are moved bit by bit. Made once, at loading time;
 * the inputs may be disposed afterwards.
 *
 * @throws ShapeError where inner sizes or dtypes differ, for views of quantized tensors, and for f16 or bf16 weights
 * that do not end at a whole 32-bit word.
 */
export function concatenateRows(weights: readonly Tensor[]): Tensor {
  const [first] = weights;
  if (!first) throw new ArgumentError('concatenateRows: weights', '[]', 'at least one tensor');
  const { gpu, dtype } = first;
  const inner = first.shape[1] as number;
  for (const weight of weights) checkWeight(weight, first);
  const rows = weights.reduce((sum, weight) => sum + (weight.shape[0] as number), 0);
  return gpu.tidy(() => {
    const out = gpu.empty([rows, inner], dtype);
    let start = 0;
    for (const weight of weights) {
      const dense = isQuantized(dtype) ? weight : contiguous(weight);
      for (const from of heldPieces(dense)) {
        for (const to of out.storage.pieces) {
          const firstRow = Math.max(start + from.rowStart, to.rowStart);
          const endRow = Math.min(start + from.rowStart + from.rows, to.rowStart + to.rows);
          if (firstRow >= endRow) continue;
          copyRows(out, inner, from, firstRow - start - from.rowStart, to, firstRow - to.rowStart, endRow - firstRow);
        }
      }
      start += weight.shape[0] as number;
    }
    return out;
  });
}

/** A storage piece with the byte offset at which a view starts in it. */
interface HeldPiece extends StoragePiece {
  readonly byteOffset: number;
}

function heldPieces(weight: Tensor): HeldPiece[] {
  const { pieces } = weight.storage;
  const [only, second] = pieces;
  if (second || isQuantized(weight.dtype)) return pieces.map((piece) => ({ ...piece, byteOffset: 0 }));
  const byteOffset = plainBytes(weight.dtype, weight.offset);
  return [{ buffer: (only as StoragePiece).buffer, rowStart: 0, rows: weight.shape[0] as number, byteOffset }];
}

function copyRows(
  out: Tensor,
  inner: number,
  from: HeldPiece,
  fromRow: number,
  to: StoragePiece,
  toRow: number,
  rows: number,
): void {
  for (const plane of planes(out.dtype, inner)) {
    const range = (piece: StoragePiece, row: number, extra: number): BufferRange => {
      const offset = plane.start(piece.rows) + row * plane.rowBytes + extra;
      return { buffer: piece.buffer, offset, bytes: rows * plane.rowBytes };
    };
    out.gpu.copyBytes(range(from, fromRow, from.byteOffset), range(to, toRow, 0), rows * plane.rowBytes);
  }
}

interface Plane {
  /** Bytes of one row. */
  readonly rowBytes: number;
  /** Where the plane starts in a piece of so many rows. */
  readonly start: (rows: number) => number;
}

/** The regions of a piece that hold its rows one after another: quants and scales, or the elements themselves. */
function planes(dtype: Dtype, inner: number): Plane[] {
  if (!isQuantized(dtype)) return [{ rowBytes: (plainBytes(dtype, 2) / 2) * inner, start: () => 0 }];
  const row = quantizedLayout(dtype, inner);
  return [
    { rowBytes: row.quantBytes, start: () => 0 },
    { rowBytes: row.scaleBytes, start: (rows) => quantizedLayout(dtype, rows * inner).scaleOffset },
  ];
}

function checkWeight(weight: Tensor, first: Tensor): void {
  const operation = 'concatenateRows';
  if (weight.rank !== 2 || weight.shape[1] !== first.shape[1] || weight.dtype !== first.dtype) {
    const given = `${weight.dtype}[${weight.shape}] and ${first.dtype}[${first.shape}]`;
    throw new ShapeError(operation, `${given} do not stack; expected one dtype and [rows, K] with the same K.`);
  }
  if (weight.gpu !== first.gpu) {
    throw new ArgumentError(`${operation}: weights`, 'tensors of different Gpus', 'tensors of one Gpu');
  }
  if (!isQuantized(weight.dtype)) {
    if (((plainBytes(weight.dtype, 2) / 2) * weight.size) % 4 !== 0) {
      throw new ShapeError(operation, `${weight.dtype}[${weight.shape}] does not end at a whole 32-bit word.`);
    }
    return;
  }
  requireWhole(operation, weight);
}
