/** What the schedules of a matrix product have in common: the problem, its parameters, and the store of a result. */

import type { BufferRange } from '../../device/bind-groups.ts';
import type { Capabilities } from '../../device/capabilities.ts';
import type { BindingDeclaration, ParameterType } from '../../kernels/kernel.ts';
import { type ElementAccess, elementAccess } from '../../kernels/wgsl.ts';
import { type RightFormat, rightOperand } from './right-operand.ts';

/** Element types of activations. */
export type FloatDtype = 'f32' | 'f16' | 'bf16';

/** What every schedule is specialised by. */
export type ProductVariant = {
  readonly left: FloatDtype;
  readonly right: RightFormat;
  readonly bias: FloatDtype | 'none';
  readonly residual: FloatDtype | 'none';
  /** Whether there is more than one product; without, the kernel needs no divisions to find its own. */
  readonly batched: boolean;
};

/** Up to three batch axes, outermost first; missing ones have size 1 and stride 0. */
export type BatchAxes = readonly [number, number, number];

/**
 * `out[batch, row, column] = sum over inner of left[batch, row, inner] * right[batch, inner, column]`, plus the bias of
 * the column and the residual at the place of the output. Strides and offsets are in elements; the right ones do not
 * apply to quantized operands, whose columns (rows of the weight) are dense.
 */
export interface Product {
  readonly batch: BatchAxes;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly left: Operand;
  readonly right: RightOperandSource;
  readonly bias: BoundTensor | undefined;
  readonly residual: BoundTensor | undefined;
  readonly out: BufferRange;
  /** Strides of the output; its batches are `rows * columns of the whole output` apart, given as `batchStride`. */
  readonly outStrides: { readonly batch: number; readonly row: number; readonly column: number };
  /** First column that this product writes (a piece of a split weight starts inside the output). */
  readonly columnStart: number;
}

/** A strided left operand. */
export interface Operand {
  readonly range: BufferRange;
  readonly dtype: FloatDtype;
  readonly offset: number;
  readonly batchStrides: BatchAxes;
  readonly rowStride: number;
  readonly innerStride: number;
}

/** The right operand: one range, or quants and scales. */
export interface RightOperandSource {
  readonly ranges: readonly BufferRange[];
  readonly format: RightFormat;
  readonly bytes: number;
  readonly offset: number;
  readonly batchStrides: BatchAxes;
  readonly innerStride: number;
  readonly columnStride: number;
}

/** A contiguous tensor as a binding. */
export interface BoundTensor {
  readonly range: BufferRange;
  readonly dtype: FloatDtype;
}

export const productParameters: readonly (readonly [string, ParameterType])[] = [
  ['rows', 'u32'],
  ['inner', 'u32'],
  ['columns', 'u32'],
  ['batch1', 'u32'],
  ['batch2', 'u32'],
  ['left_offset', 'u32'],
  ['left_batch0', 'u32'],
  ['left_batch1', 'u32'],
  ['left_batch2', 'u32'],
  ['left_row', 'u32'],
  ['left_inner', 'u32'],
  ['right_offset', 'u32'],
  ['right_batch0', 'u32'],
  ['right_batch1', 'u32'],
  ['right_batch2', 'u32'],
  ['right_inner', 'u32'],
  ['right_column', 'u32'],
  ['out_batch', 'u32'],
  ['out_row', 'u32'],
  ['out_column', 'u32'],
  ['column_start', 'u32'],
];

/** Values of {@link productParameters}. */
export function parameterValues(product: Product): number[] {
  const { left, right, batch, outStrides } = product;
  return [
    product.rows,
    product.inner,
    product.columns,
    batch[1],
    batch[2],
    left.offset,
    ...left.batchStrides,
    left.rowStride,
    left.innerStride,
    right.offset,
    ...right.batchStrides,
    right.innerStride,
    right.columnStride,
    outStrides.batch,
    outStrides.row,
    outStrides.column,
    product.columnStart,
  ];
}

export function productVariant(product: Product): ProductVariant {
  return {
    left: product.left.dtype,
    right: product.right.format,
    bias: product.bias?.dtype ?? 'none',
    residual: product.residual?.dtype ?? 'none',
    batched: batchCount(product) > 1,
  };
}

export function batchCount(product: Product): number {
  return product.batch[0] * product.batch[1] * product.batch[2];
}

export function productBindings(variant: ProductVariant, capabilities: Capabilities): BindingDeclaration[] {
  return [
    { name: 'left', type: leftAccess(variant, capabilities).type, access: 'read' },
    ...rightOperand(variant.right, capabilities).bindings,
    ...onceBindings(variant, capabilities),
    { name: 'out', type: 'array<f32>', access: 'read_write' },
  ];
}

/** Bindings of what is added to the sums once. */
export function onceBindings(
  variant: Pick<ProductVariant, 'bias' | 'residual'>,
  capabilities: Capabilities,
): BindingDeclaration[] {
  return (['bias', 'residual'] as const).flatMap((name) => {
    const dtype = variant[name];
    return dtype === 'none' ? [] : [{ name, type: elementAccess(name, dtype, capabilities).type, access: 'read' }];
  });
}

/** The binding of a left operand of which one load gives four neighbours of the inner axis, see {@link leftInFours}. */
export const fourLeft: BindingDeclaration = { name: 'left', type: 'array<vec4f>', access: 'read' };

/** Whether one load gives four neighbours of the inner axis of the left operand. */
export function leftInFours({ left, inner, rows, batch }: Product): boolean {
  const walked = left.batchStrides.filter((_, axis) => (batch[axis] ?? 1) > 1);
  const strides = [left.offset, ...(rows > 1 ? [left.rowStride] : []), ...walked];
  return (
    left.dtype === 'f32' && left.innerStride === 1 && inner % 4 === 0 && strides.every((stride) => stride % 4 === 0)
  );
}

export function bindingRanges(product: Product): BufferRange[] {
  const ranges = [product.left.range, ...product.right.ranges];
  if (product.bias) ranges.push(product.bias.range);
  if (product.residual) ranges.push(product.residual.range);
  return [...ranges, product.out];
}

export function leftAccess(variant: ProductVariant, capabilities: Capabilities): ElementAccess {
  return elementAccess('left', variant.left, capabilities);
}

/** Declared work: a multiplication and an addition per inner position; each operand and the output once. */
export function productCost(product: Product): { flops: number; bytes: number } {
  const outputs = batchCount(product) * product.rows * product.columns;
  const leftBytes = batchCount(product) * product.rows * product.inner * (product.left.dtype === 'f32' ? 4 : 2);
  return { flops: 2 * outputs * product.inner, bytes: leftBytes + product.right.bytes + 4 * outputs };
}

/**
 * WGSL that finds the tile of this workgroup: declares `tile_row` and `tile_column` (indices of the tile), `left_start`,
 * `right_start` and `out_start`. Row tiles run fastest, so that neighbouring workgroups share the right operand.
 * `tileColumns` may be an expression.
 */
export function locateTile(variant: ProductVariant, tileRows: number, tileColumns: number | string): string {
  const lines = [`let row_tiles = (params.rows + ${tileRows - 1}u) / ${tileRows}u;`];
  if (variant.batched) {
    const width = typeof tileColumns === 'number' ? `${tileColumns}u` : tileColumns;
    lines.push(
      `let column_tiles = (params.columns + ${width} - 1u) / ${width};`,
      'let batch = group / (row_tiles * column_tiles);',
      'let tile = group - batch * row_tiles * column_tiles;',
      'let batch01 = batch / params.batch2;',
      'let batch_indices = vec3u(batch01 / params.batch1, batch01 % params.batch1, batch % params.batch2);',
      'let left_start = params.left_offset + dot(batch_indices, vec3u(params.left_batch0, params.left_batch1, params.left_batch2));',
      'let right_start = params.right_offset + dot(batch_indices, vec3u(params.right_batch0, params.right_batch1, params.right_batch2));',
      'let out_start = batch * params.out_batch;',
    );
  } else {
    lines.push(
      'let tile = group;',
      'let left_start = params.left_offset;',
      'let right_start = params.right_offset;',
      'let out_start = 0u;',
    );
  }
  lines.push('let tile_column = tile / row_tiles;', 'let tile_row = tile - tile_column * row_tiles;');
  return lines.join('\n');
}

/** Expression of where an output stands. */
export function outputPlace(row: string, column: string): string {
  return `out_start + (${row}) * params.out_row + (params.column_start + ${column}) * params.out_column`;
}

/** WGSL statement that stores a result that is inside the output, with the epilogue. */
export function storeResult(
  variant: ProductVariant,
  capabilities: Capabilities,
  row: string,
  column: string,
  value: string,
): string {
  const at = outputPlace(row, column);
  const terms = [value];
  if (variant.bias !== 'none') {
    terms.push(elementAccess('bias', variant.bias, capabilities).load(`params.column_start + ${column}`));
  }
  if (variant.residual !== 'none') terms.push(elementAccess('residual', variant.residual, capabilities).load('at'));
  return `if (${row} < params.rows && ${column} < params.columns) { let at = ${at}; out[at] = ${terms.join(' + ')}; }`;
}

/** Number of tiles of a product. */
export function tileCount(product: Product, tileRows: number, tileColumns: number): number {
  return batchCount(product) * Math.ceil(product.rows / tileRows) * Math.ceil(product.columns / tileColumns);
}

/** `count` times what `emit` gives, one statement per line. */
export function repeat(count: number, emit: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => emit(index)).join('\n');
}
