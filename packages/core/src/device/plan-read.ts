import { ArgumentError, ShapeError } from '../errors.ts';
import { decodeElements, type HostArray, isQuantized, type PlainDtype, plainBytes } from '../tensor/dtype.ts';
import type { StoragePiece } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PooledBuffer } from './buffer-pool.ts';

/** Bytes that go from a tensor's buffer into the staging buffer. */
export interface StagingCopy {
  readonly buffer: PooledBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** What of a tensor is copied to be read, and how it becomes the tensor's elements. */
export interface ReadPlan {
  /** Stand one behind the other in the staging buffer. */
  readonly copies: readonly StagingCopy[];
  readonly bytes: number;
  /** The elements in row-major order, from the copied bytes. */
  readonly decode: (bytes: ArrayBuffer) => HostArray;
}

/** @throws ArgumentError for a quantized tensor; @throws ShapeError for a view of a split one */
export function planRead(tensor: Tensor): ReadPlan {
  const { dtype } = tensor;
  if (isQuantized(dtype)) throw new ArgumentError('read: tensor', dtype, 'a plain dtype (dequantize first)');
  const { pieces } = tensor.storage;
  return pieces.length === 1
    ? planOnePiece(tensor, dtype, pieces[0] as StoragePiece)
    : planSplit(tensor, dtype, pieces);
}

/** The words that a view touches; its elements are picked on the host. */
function planOnePiece(tensor: Tensor, dtype: PlainDtype, { buffer }: StoragePiece): ReadPlan {
  const reach = storageReach(tensor);
  const perWord = dtype === 'f16' || dtype === 'bf16' ? 2 : 1;
  const firstWord = Math.floor(reach.start / perWord);
  const bytes = (Math.ceil(reach.end / perWord) - firstWord) * 4;
  const skip = reach.start - firstWord * perWord;
  return {
    copies: [{ buffer, offset: firstWord * 4, bytes }],
    bytes,
    decode: (copied) => gatherStrided(decodeElements(copied, dtype, skip + reach.end - reach.start), tensor, skip),
  };
}

function planSplit(tensor: Tensor, dtype: PlainDtype, pieces: readonly StoragePiece[]): ReadPlan {
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  if (!tensor.contiguous || tensor.offset !== 0 || tensor.shape[0] !== rows) {
    throw new ShapeError('read', `[${tensor.shape}] is a view of a split tensor, which cannot be read.`);
  }
  const rowElements = tensor.size / rows;
  return {
    copies: pieces.map(({ buffer, rows: count }) => ({
      buffer,
      offset: 0,
      bytes: plainBytes(dtype, count * rowElements),
    })),
    bytes: plainBytes(dtype, tensor.size),
    decode: (copied) => decodeElements(copied, dtype, tensor.size),
  };
}

/** Elements [start, end) of the storage that a strided tensor touches. */
function storageReach(tensor: Tensor): { readonly start: number; readonly end: number } {
  if (tensor.size === 0) return { start: tensor.offset, end: tensor.offset };
  let last = tensor.offset;
  tensor.shape.forEach((size, axis) => {
    last += (size - 1) * (tensor.strides[axis] as number);
  });
  return { start: tensor.offset, end: last + 1 };
}

function gatherStrided(flat: HostArray, tensor: Tensor, skip: number): HostArray {
  if (tensor.contiguous) return skip === 0 && flat.length === tensor.size ? flat : flat.slice(skip, skip + tensor.size);
  const out = new (flat.constructor as new (length: number) => HostArray)(tensor.size);
  const index = new Array<number>(tensor.rank).fill(0);
  for (let at = 0; at < out.length; at++) {
    let from = skip;
    for (let axis = 0; axis < index.length; axis++) from += (index[axis] as number) * (tensor.strides[axis] as number);
    out[at] = flat[from] as number;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (tensor.shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return out;
}
