import { ArgumentError, ShapeError } from '../../errors.ts';
import { isQuantized } from '../../tensor/dtype.ts';
import { blockElements, quantizedLayout } from '../../tensor/quantized.ts';
import { contiguousStrides, sameShape } from '../../tensor/shape.ts';
import type { StoragePiece } from '../../tensor/storage.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { checkGate, type GatedActivationOptions, gatedActivation } from '../mlp.ts';
import { mergeAxes } from '../strided.ts';
import { launchGated, launchProduct } from './launch-product.ts';
import {
  batchAxes,
  boundTensor,
  floatDtype,
  maxBatchAxes,
  pieceBuffer,
  requireWhole,
  wholeBuffer,
} from './operands.ts';
import type { Product, RightOperandSource } from './product.ts';
import { plainFormat } from './right-operand.ts';
import { defaultSchedule, type MatmulSchedule } from './schedules.ts';

/** Options of {@link linear}. */
export interface LinearOptions {
  /** f32, f16 or bf16 `[N]`, added to every row. */
  readonly bias?: Tensor;
  /** f32, f16 or bf16 in the shape of the output, added to it. */
  readonly residual?: Tensor;
  /** Forces a schedule instead of the default of the adapter's class. All give the same result up to rounding. */
  readonly schedule?: MatmulSchedule;
}

/**
 * `x weight^T + bias + residual`: a linear layer with the weight as files hold it, a row per output.
 *
 * Quantized weights stay quantized in GPU memory and are dequantized inside the kernel; a weight over the device's
 * binding limit, split along its rows, takes one launch per piece. Sums are f32.
 *
 * @param x f32, f16 or bf16 `[..., K]`; strided views are read in place.
 * @param weight `[N, K]` in any float or quantized dtype.
 * @returns f32 `[..., N]`, contiguous.
 * @throws ShapeError where shapes do not fit, or where the weight is a view of part of a quantized or split tensor.
 * @throws ArgumentError for integer tensors.
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { gpu } = x;
  const [columns, inner] = checkShapes(x, weight);
  const outShape = [...x.shape.slice(0, -1), columns];
  const { bias, residual } = options;
  if (bias && !sameShape(bias.shape, [columns])) {
    throw new ShapeError(
      'linear',
      `bias has shape [${bias.shape}]; the weight [${weight.shape}] asks for [${columns}].`,
    );
  }
  if (residual && !sameShape(residual.shape, outShape)) {
    throw new ShapeError('linear', `residual has shape [${residual.shape}]; the output has [${outShape}].`);
  }
  floatDtype('linear: x', x.dtype);
  return gpu.tidy(() => {
    const out = gpu.empty(outShape);
    if (out.size === 0) return out;
    const shared = {
      ...rowsOf(x, out, inner),
      bias: bias && boundTensor('linear: bias', contiguous(bias), 'linear: bias'),
      residual: residual && boundTensor('linear: residual', contiguous(residual), 'linear: residual'),
    };
    for (const piece of weight.storage.pieces) {
      const [start, count] = weight.storage.pieces.length > 1 ? [piece.rowStart, piece.rows] : [0, columns];
      const right = weightPiece(weight, piece);
      const schedule = options.schedule ?? defaultSchedule(gpu, shared.rows, right.format);
      launchProduct(gpu, { ...shared, columns: count, right, columnStart: start }, schedule);
    }
    return out;
  });
}

/** Batches, rows and left operand of x [..., K], and the place of the output [..., N]. */
function rowsOf(
  x: Tensor,
  out: Tensor,
  inner: number,
): Pick<Product, 'batch' | 'rows' | 'inner' | 'left' | 'out' | 'outStrides'> {
  const left = mergeableRows(x);
  const columns = out.shape.at(-1) as number;
  const lead = mergeAxes(x.shape.slice(0, -1), [left.strides.slice(0, -1), contiguousStrides(out.shape).slice(0, -1)]);
  const [rows = 1, ...batch] = lead.sizes;
  const [rowStride = 0, ...batchStrides] = lead.strides[0] ?? [];
  return {
    batch: batchAxes(batch, 1),
    rows,
    inner,
    left: {
      range: wholeBuffer(left, 'linear: x'),
      dtype: floatDtype('linear: x', x.dtype),
      offset: left.offset,
      batchStrides: batchAxes(batchStrides, 0),
      rowStride,
      innerStride: left.strides.at(-1) as number,
    },
    out: out.gpu.range(out, 'linear: output'),
    outStrides: { batch: rows * columns, row: columns, column: 1 },
  };
}

/**
 * The first half of a gated MLP: `activation(x gate^T) * (x up^T)`, the same as {@link gatedActivation} of {@link linear}. On software adapters, few rows and
 * a quantized weight take one launch.
 *
 * @param x f32, f16 or bf16 `[..., K]`
 * @param weight `[2 F, K]` in any float or quantized dtype: the gate's rows, then those of up
 * @returns f32 `[..., F]`, contiguous
 * @throws ShapeError, ArgumentError as {@link linear}, and for an odd number of the weight's rows or an unknown activation
 */
export function gatedLinear(x: Tensor, weight: Tensor, options: GatedActivationOptions): Tensor {
  const { gpu } = x;
  const [columns, inner] = checkShapes(x, weight);
  const activation = checkGate('gatedLinear', options.activation);
  if (columns % 2 !== 0) throw new ShapeError('gatedLinear', `weight is [${weight.shape}]; its rows must be even.`);
  return gpu.tidy(() => {
    const [piece, second] = weight.storage.pieces;
    // The parts of a split weight hold a gate without its partner.
    if (piece && !second && isQuantized(weight.dtype)) {
      const out = gpu.empty([...x.shape.slice(0, -1), columns / 2]);
      if (out.size === 0) return out;
      const right = weightPiece(weight, piece);
      const product = { ...rowsOf(x, out, inner), bias: undefined, residual: undefined, right, columnStart: 0 };
      if (launchGated(gpu, { ...product, columns: columns / 2 }, activation)) return out;
    }
    return gatedActivation(linear(x, weight), { activation });
  });
}

function checkShapes(x: Tensor, weight: Tensor): [columns: number, inner: number] {
  const inner = x.shape.at(-1);
  const [columns, weightInner] = weight.shape;
  if (weight.rank !== 2 || columns === undefined || inner === undefined || inner !== weightInner) {
    throw new ShapeError(
      'linear',
      `x [${x.shape}] and weight [${weight.shape}] do not fit; expected [..., K] and [N, K].`,
    );
  }
  if (weight.gpu !== x.gpu) throw new ArgumentError('linear: weight', 'a tensor of another Gpu', 'tensors of one Gpu');
  if (isQuantized(weight.dtype) && inner % blockElements !== 0) {
    throw new ShapeError('linear', `K is ${inner}; ${weight.dtype} weights need a multiple of ${blockElements}.`);
  }
  if (isQuantized(weight.dtype) || weight.storage.pieces.length > 1) requireWhole('linear: weight', weight);
  return [columns, inner];
}

/** x itself where its leading axes merge into few enough axes, else a contiguous copy. */
function mergeableRows(x: Tensor): Tensor {
  const lead = x.shape.slice(0, -1);
  const merged = mergeAxes(lead, [x.strides.slice(0, -1), contiguousStrides(lead)]);
  return merged.sizes.length <= maxBatchAxes + 1 ? x : contiguous(x);
}

/** The columns of the product that one piece of a weight holds. */
function weightPiece(weight: Tensor, piece: StoragePiece): RightOperandSource {
  const inner = weight.shape[1] as number;
  const { dtype } = weight;
  const batchStrides = batchAxes([], 0);
  if (isQuantized(dtype)) {
    const layout = quantizedLayout(dtype, piece.rows * inner);
    const quants = { buffer: piece.buffer, offset: 0, bytes: layout.quantBytes };
    const scales = { buffer: piece.buffer, offset: layout.scaleOffset, bytes: layout.scaleBytes };
    const bytes = layout.quantBytes + layout.scaleBytes;
    return {
      ranges: [quants, scales],
      format: dtype,
      bytes,
      offset: 0,
      batchStrides,
      innerStride: 1,
      columnStride: inner,
    };
  }
  const float = floatDtype('linear: weight', dtype);
  const [columnStride, innerStride] = weight.strides as [number, number];
  return {
    ranges: [pieceBuffer(piece)],
    format: plainFormat(float, innerStride, [columnStride, weight.offset], inner),
    bytes: piece.rows * inner * (float === 'f32' ? 4 : 2),
    offset: weight.offset,
    batchStrides,
    innerStride,
    columnStride,
  };
}
