import { ArgumentError, ShapeError } from '../../errors.ts';
import { broadcastShapes, elementCount } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { mergeAxes } from '../strided.ts';
import { launchProduct } from './launch-product.ts';
import { batchAxes, floatDtype, maxBatchAxes, wholeBuffer } from './operands.ts';
import { pack } from './pack.ts';
import type { FloatDtype, Product } from './product.ts';
import { loadsSingles, plainFormat } from './right-operand.ts';
import { broadcastRows, defaultSchedule, type MatmulSchedule } from './schedules.ts';

/** Options of {@link matmul}. */
export interface MatmulOptions {
  /** Forces a schedule instead of the default of the adapter's class. All give the same result up to rounding. */
  readonly schedule?: MatmulSchedule;
}

/** Below this many columns the operands swap roles where the other side is longer: schedules run lanes over columns. */
const fewColumns = 8;

/**
 * From this many rows on, software adapters pack a right operand that they would load in single elements: a gather of four costs little
 * more than a gather of one, and the copy is soon earned.
 */
const packingRows = 64;

/**
 * Matrix product of the last two axes; leading axes broadcast as in NumPy. Strided views, such as transposes and
 * broadcasts, are read in place. Sums are f32.
 *
 * @param a f32, f16 or bf16 `[..., M, K]`.
 * @param b f32, f16 or bf16 `[..., K, N]`.
 * @returns f32 `[..., M, N]`, contiguous.
 * @throws ShapeError where shapes do not fit.
 * @throws ArgumentError for integer or quantized tensors (see `linear` for the latter).
 * @throws LimitError where an operand or the output is larger than the device binds at once.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { gpu } = a;
  const [rows, inner] = a.shape.slice(-2);
  const [bInner, columns] = b.shape.slice(-2);
  if (
    a.rank < 2 ||
    b.rank < 2 ||
    rows === undefined ||
    columns === undefined ||
    inner === undefined ||
    inner !== bInner
  ) {
    throw new ShapeError('matmul', `[${a.shape}] and [${b.shape}] do not fit; expected [..., M, K] and [..., K, N].`);
  }
  if (b.gpu !== gpu) throw new ArgumentError('matmul: b', 'a tensor of another Gpu', 'tensors of one Gpu');
  floatDtype('matmul: a', a.dtype);
  floatDtype('matmul: b', b.dtype);
  const batchShape = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  return gpu.tidy(() => {
    const out = gpu.empty([...batchShape, rows, columns]);
    if (out.size === 0) return out;
    const scheduleOf = (productRows: number) =>
      options.schedule ?? defaultSchedule(gpu, productRows, b.dtype as FloatDtype);
    const schedule = scheduleOf(rows);
    const forSoftware = schedule === 'lanes' || (gpu.capabilities.software && broadcastRows(schedule) !== undefined);
    const packs = forSoftware && rows >= packingRows && gainsByPacking(b);
    const product = planProduct(a, packs ? pack(b) : b, batchShape, out);
    launchProduct(gpu, product, scheduleOf(product.rows));
    return out;
  });
}

/** Whether b would be loaded in single elements as it is, and in fours once it is packed. */
function gainsByPacking(b: Tensor): boolean {
  if (b.rank !== 2) return false;
  const [inner, columns] = b.shape as [number, number];
  const [innerStride, columnStride] = b.strides as [number, number];
  if (b.dtype !== 'f32' || columns < fewColumns || inner % 4 !== 0) return false;
  return loadsSingles(plainFormat('f32', innerStride, [columnStride, b.offset], inner));
}

interface Side {
  readonly tensor: Tensor;
  /** Strides of the batch axes, innermost first, merged. */
  readonly batch: readonly number[];
  readonly outer: number;
  readonly inner: number;
}

function planProduct(a: Tensor, b: Tensor, batchShape: readonly number[], out: Tensor): Product {
  const [inner, columns] = b.shape.slice(-2) as [number, number];
  let rows = a.shape.at(-2) as number;
  let left = a.broadcastTo([...batchShape, rows, inner]);
  let right = b.broadcastTo([...batchShape, inner, columns]);
  const merge = () => mergeAxes(batchShape, [left.strides.slice(0, -2), right.strides.slice(0, -2)]);
  let batch = merge();
  if (batch.sizes.length > maxBatchAxes) {
    left = contiguous(left);
    right = contiguous(right);
    batch = merge();
  }
  let sizes = batch.sizes;
  let aSide: Side = side(left, batch.strides[0] as number[], -2, -1);
  const bSide: Side = side(right, batch.strides[1] as number[], -1, -2);
  const alone = elementCount(batchShape) === 1;
  const [firstSize = 1] = sizes;
  if (!alone && sizes.length === 1 && bSide.batch[0] === 0 && aSide.batch[0] === rows * aSide.outer) {
    // One matrix b for all of a: the batch is only more rows.
    rows *= firstSize;
    sizes = [1];
    aSide = { ...aSide, batch: [0] };
  }
  const swap = columns < fewColumns && columns < rows;
  const [l, r] = swap ? [bSide, aSide] : [aSide, bSide];
  const rightDtype = floatDtype('matmul', r.tensor.dtype);
  const walked = (strides: readonly number[]) => strides.filter((_, axis) => (sizes[axis] ?? 1) > 1);
  return {
    batch: batchAxes(sizes, 1),
    rows: swap ? columns : rows,
    columns: swap ? rows : columns,
    inner,
    left: {
      range: wholeBuffer(l.tensor, 'matmul'),
      dtype: floatDtype('matmul', l.tensor.dtype),
      offset: l.tensor.offset,
      batchStrides: batchAxes(l.batch, 0),
      rowStride: l.outer,
      innerStride: l.inner,
    },
    right: {
      ranges: [wholeBuffer(r.tensor, 'matmul')],
      format: plainFormat(rightDtype, r.inner, [r.outer, r.tensor.offset, ...walked(r.batch)], inner),
      bytes: (swap ? rows : columns) * inner * (rightDtype === 'f32' ? 4 : 2),
      offset: r.tensor.offset,
      batchStrides: batchAxes(r.batch, 0),
      innerStride: r.inner,
      columnStride: r.outer,
    },
    bias: undefined,
    residual: undefined,
    out: out.gpu.range(out, 'matmul: output'),
    outStrides: { batch: rows * columns, row: swap ? 1 : columns, column: swap ? columns : 1 },
    columnStart: 0,
  };
}

function side(tensor: Tensor, batch: readonly number[], outerAxis: number, innerAxis: number): Side {
  return {
    tensor,
    batch,
    outer: tensor.strides.at(outerAxis) as number,
    inner: tensor.strides.at(innerAxis) as number,
  };
}
