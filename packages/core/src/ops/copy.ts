import { ArgumentError, LimitError, ShapeError } from '../errors.ts';
import { bytesPerElement, isQuantized, type PlainDtype, plainBytes } from '../tensor/dtype.ts';
import { resolveAxis, sameShape } from '../tensor/shape.ts';
import type { StoragePiece } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defineStridedKernel, launchStrided, mergeAxes, type StridedOperand, stridedOperand } from './strided.ts';

/** Copies or converts: the output's type decides the conversion. */
const copyKernel = defineStridedKernel<Record<never, never>>({
  name: 'copy',
  inputs: 1,
  expression: (_, [value], type) => `${type}(${value})`,
});

/**
 * The same value dense in memory, in one binding: itself (a second handle) where it already is, else a copy. Bits are
 * kept. A whole split tensor is dense too and comes back split.
 *
 * @throws LimitError for a view of a split tensor.
 */
export function contiguous(x: Tensor): Tensor {
  const whole = x.storage.pieces.length > 1 && isWhole(x);
  if (x.gpu.bindable(x) || whole) return x.alias();
  const dtype = plainDtype('contiguous', x);
  return x.gpu.tidy(() => {
    const out = x.gpu.empty(x.shape, dtype);
    copyElements('contiguous', out, x);
    return out;
  });
}

/**
 * The numbers of `x` in another plain dtype, dense. Floats are rounded to nearest even (beyond the range: infinity);
 * floats become integers by truncation, saturated at the ends of the range. Takes split tensors.
 *
 * @throws ShapeError for a quantized tensor.
 */
export function cast(x: Tensor, dtype: PlainDtype): Tensor {
  const own = plainDtype('cast', x);
  if (own === dtype) return contiguous(x);
  const { gpu } = x;
  const out = gpu.empty(x.shape, dtype);
  if (x.storage.pieces.length === 1 && out.storage.pieces.length === 1) {
    copyElements('cast', out, x);
    return out;
  }
  if (x.storage.pieces.length > 1 && !isWhole(x)) {
    const limit = gpu.capabilities.maxStorageBinding;
    throw new LimitError(`cast: a view of a split ${own} tensor`, gpu.bytesOf(x), 'maxStorageBufferBindingSize', limit);
  }
  // Pieces of the two types end at different rows: every overlap is one launch.
  const source = x.storage.pieces.length > 1 ? x : contiguous(x);
  const rowElements = x.size / (x.shape[0] as number);
  for (const to of out.storage.pieces) {
    for (const from of source.storage.pieces) {
      const start = Math.max(to.rowStart, from.rowStart);
      const end = Math.min(to.rowStart + to.rows, from.rowStart + from.rows);
      if (start >= end) continue;
      const shape = [(end - start) * rowElements];
      const part = (piece: StoragePiece, type: PlainDtype, offset: number): StridedOperand => ({
        buffer: piece.buffer,
        dtype: type,
        offset: offset + (start - piece.rowStart) * rowElements,
        strides: [1],
      });
      const operands = [part(to, dtype, 0), part(from, own, source === x ? 0 : source.offset)];
      launchStrided(gpu, copyKernel, { operation: 'cast', shape, operands, variant: {} });
    }
  }
  if (source !== x) source.dispose();
  return out;
}

/**
 * Writes `source` into `target`, converting to the target's dtype. The one op that changes a tensor: for buffers that are
 * filled in place, such as caches; `target` is usually a view. `source` may overlap it.
 *
 * @throws ShapeError where `source` does not broadcast to the shape of `target`.
 */
export function copyInto(target: Tensor, source: Tensor): void {
  plainDtype('copyInto', target);
  const dtype = plainDtype('copyInto', source);
  const split = target.storage.pieces.length > 1 && source.storage.pieces.length > 1;
  if (split && dtype === target.dtype && sameShape(target.shape, source.shape) && isWhole(target) && isWhole(source)) {
    const rowElements = target.size / (target.shape[0] as number);
    target.storage.pieces.forEach((piece, index) => {
      const from = source.storage.pieces[index] as StoragePiece;
      target.gpu.copyBytes(wholeRange(from), wholeRange(piece), plainBytes(dtype, piece.rows * rowElements));
    });
    return;
  }
  target.gpu.tidy(() => {
    const from = source.broadcastTo(target.shape);
    // A buffer may not be read and written in one dispatch.
    copyElements('copyInto', target, source.storage === target.storage ? freshCopy(from, dtype) : from);
  });
}

/**
 * Tensors one after another along an axis; all other sizes and the dtype must agree.
 *
 * @throws ShapeError where they do not.
 */
export function concatenate(xs: readonly Tensor[], axis = 0): Tensor {
  const [first] = xs;
  if (!first) throw new ArgumentError('concatenate: xs', xs, 'at least one tensor');
  const dtype = plainDtype('concatenate', first);
  const at = resolveAxis('concatenate', axis, first.rank);
  let size = 0;
  for (const x of xs) {
    const fits = x.rank === first.rank && x.shape.every((value, index) => index === at || value === first.shape[index]);
    if (!fits || x.dtype !== dtype) {
      const given = `${x.dtype}[${x.shape}] does not continue ${dtype}[${first.shape}] along axis ${at}`;
      throw new ShapeError('concatenate', `${given}.`);
    }
    size += x.shape[at] as number;
  }
  const { gpu } = first;
  const out = gpu.empty(
    first.shape.map((value, index) => (index === at ? size : value)),
    dtype,
  );
  gpu.tidy(() => {
    let start = 0;
    for (const x of xs) {
      const end = start + (x.shape[at] as number);
      copyElements('concatenate', out.slice(at, start, end), x);
      start = end;
    }
  });
  return out;
}

/** Copies between tensors of one shape in different storage. */
function copyElements(operation: string, target: Tensor, source: Tensor): void {
  const { gpu, shape } = target;
  const operands = [stridedOperand(operation, target), stridedOperand(operation, source)] as const;
  const [to, from] = operands;
  if (to.dtype !== from.dtype) {
    launchStrided(gpu, copyKernel, { operation, shape, operands, variant: {} });
    return;
  }
  const elementBytes = bytesPerElement[to.dtype];
  const wholeWords = operands.every((operand) => (operand.offset * elementBytes) % 4 === 0);
  const bytes = target.size * elementBytes;
  if (wholeWords && bytes % 4 === 0 && target.contiguous && source.contiguous) {
    const range = (operand: StridedOperand) => ({
      buffer: operand.buffer,
      offset: operand.offset * elementBytes,
      bytes,
    });
    gpu.copyBytes(range(from), range(to), bytes);
    return;
  }
  // Moved as words, so that every bit pattern survives; 16-bit elements in pairs where the layout allows it.
  const words = elementBytes === 4 ? { shape, operands: operands.map(asWords) } : asPairs(shape, operands);
  launchStrided(gpu, copyKernel, { operation, ...(words ?? { shape, operands }), variant: {} });
}

function asWords(operand: StridedOperand): StridedOperand {
  return { ...operand, dtype: 'u32' };
}

/** The same move with two 16-bit elements as one word, or undefined where some pair is not one word. */
function asPairs(shape: readonly number[], operands: readonly StridedOperand[]) {
  const { sizes, strides } = mergeAxes(
    shape,
    operands.map((operand) => operand.strides),
  );
  const even = (value: number) => value % 2 === 0;
  const pairs =
    even(sizes[0] as number) &&
    operands.every((operand) => even(operand.offset)) &&
    strides.every(([inner, ...outer]) => inner === 1 && outer.every(even));
  if (!pairs) return undefined;
  const halved = (values: readonly number[], keep: number) =>
    values.map((value, axis) => (axis === 0 ? keep : value / 2)).reverse();
  return {
    shape: sizes.map((size, axis) => (axis === 0 ? size / 2 : size)).reverse(),
    operands: operands.map((operand, index): StridedOperand => {
      const own = halved(strides[index] as number[], 1);
      return { buffer: operand.buffer, dtype: 'u32', offset: operand.offset / 2, strides: own };
    }),
  };
}

function freshCopy(x: Tensor, dtype: PlainDtype): Tensor {
  const out = x.gpu.empty(x.shape, dtype);
  copyElements('copyInto', out, x);
  return out;
}

function wholeRange(piece: StoragePiece) {
  return { buffer: piece.buffer, offset: 0, bytes: piece.buffer.bytes };
}

/** Whether a split tensor is all of its storage, in the original rows. */
function isWhole(x: Tensor): boolean {
  const rows = x.storage.pieces.reduce((sum, piece) => sum + piece.rows, 0);
  return x.offset === 0 && x.contiguous && x.shape[0] === rows;
}

function plainDtype(operation: string, x: Tensor): PlainDtype {
  if (isQuantized(x.dtype)) throw new ShapeError(operation, `needs a plain dtype, not ${x.dtype} (dequantize first).`);
  return x.dtype;
}
