import { ArgumentError, ShapeError } from '../errors.ts';
import { lowestBits, orderArguments } from '../kernels/order-key.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import { sortBlock, sortRows } from './sort.ts';
import { topKRow } from './top-k-row.ts';
import { siftsRows } from './top-k-sift.ts';
import { selectTiled } from './top-k-tiles.ts';

export interface TopKOptions {
  /**
   * Only the first `lengths` elements of a row are candidates: one number for all rows, or u32 per row (as many elements
   * as rows; larger values count as n). Default n.
   */
  readonly lengths?: Tensor | number;
  /** `value` (default): largest first, equal ones by lower index. `index`: ascending positions. */
  readonly order?: 'value' | 'index';
}

/** The k largest elements of each row. Rows with fewer than k candidates are padded. */
export interface TopK {
  /** [..., k], dtype of the input; padding is -1e38, -2^31 or 0 (f32, i32, u32). */
  readonly values: Tensor;
  /** u32 [..., k]; padding is 0xffffffff. */
  readonly indices: Tensor;
  /** u32 [...]: how many of the k are elements rather than padding. */
  readonly counts: Tensor;
}

/** Longest row that one workgroup selects from: beyond, five dispatches with many workgroups are faster. */
function longestRow(rows: number, software: boolean): number {
  if (software) return 2 ** 24;
  return rows >= 16 ? 16_384 : 8192;
}

/**
 * The k largest elements along the last axis, exact and deterministic: equal elements (negative zero equals zero) by lower
 * index. One dispatch for rows of a few thousand elements, six for longer ones; k over 1024 in value order adds
 * log2(k / 1024) + 1 to sort them. Nothing is read back.
 *
 * @param x f32, i32 or u32 [..., n]. No NaN: it has no place in the order.
 * @param k From 1 to n.
 * @throws ShapeError for another dtype, a scalar, or lengths that do not fit; ArgumentError for k or lengths out of range;
 *   LimitError for a tensor over the binding limit.
 */
export function topK(x: Tensor, k: number, options: TopKOptions = {}): TopK {
  const { gpu, dtype } = x;
  if (x.rank === 0 || (dtype !== 'f32' && dtype !== 'i32' && dtype !== 'u32')) {
    throw new ShapeError('topK', `got ${x.dtype}[${x.shape}]; needs f32, i32 or u32 with at least one axis.`);
  }
  const n = x.shape.at(-1) as number;
  const lead = x.shape.slice(0, -1);
  if (!Number.isInteger(k) || k < 1 || k > n)
    throw new ArgumentError('topK: k', k, `an integer from 1 to ${n}, the last axis`);
  const lengths = options.lengths ?? n;
  const rows = x.size / n;
  if (typeof lengths === 'number') {
    if (!Number.isInteger(lengths) || lengths < 0 || lengths > n) {
      throw new ArgumentError('topK: lengths', lengths, `an integer from 0 to ${n}, or a u32 tensor`);
    }
  } else if (lengths.dtype !== 'u32' || lengths.size !== rows) {
    throw new ShapeError(
      'topK',
      `lengths ${lengths.dtype}[${lengths.shape}] is not u32 with ${rows} elements, one per row.`,
    );
  }
  const order = options.order ?? 'value';
  if (order !== 'value' && order !== 'index') throw new ArgumentError('topK: order', order, "'value' or 'index'");

  return gpu.tidy(() => {
    const source = contiguous(x);
    const shape = [...lead, k];
    const counts = gpu.empty(lead, 'u32');
    const sortInside = order === 'value' && k <= sortBlock;
    if (n <= longestRow(rows, gpu.capabilities.software)) {
      const values = gpu.empty(shape, x.dtype);
      const indices = gpu.empty(shape, 'u32');
      const ragged = typeof lengths !== 'number';
      const sifts = order === 'index' && siftsRows(n, k, gpu.capabilities);
      const sorted = !sortInside ? 0 : k <= 256 ? 256 : sortBlock;
      gpu.launch(
        topKRow,
        { ragged, sorted, sifts },
        {
          bindings: [source, ...(ragged ? [lengths] : []), values, indices, counts],
          parameters: [n, k, ragged ? n : lengths, lowestBits(dtype), ...orderArguments(dtype)],
          workgroups: rows,
          cost: { flops: 12 * x.size, bytes: 4 * x.size + 8 * rows * k },
        },
      );
      if (order === 'index' || sortInside) return { values, indices, counts };
      return { ...sortRows(values, { descending: true, carried: indices, counts }), counts };
    }
    const values = gpu.empty(shape, x.dtype);
    const indices = gpu.empty(shape, 'u32');
    selectTiled({ x: source, rows, n, k, lengths, values, indices, counts });
    if (order === 'index') return { values, indices, counts };
    return { ...sortRows(values, { descending: true, carried: indices, counts }), counts };
  });
}
