import { ShapeError } from '../errors.ts';
import { type BindingDeclaration, defineKernel, type Variant } from '../kernels/kernel.ts';
import { elementAccess } from '../kernels/wgsl.ts';
import { quantizedElement } from '../kernels/wgsl-quantized.ts';
import { type Dtype, isQuantized, plainBytes } from '../tensor/dtype.ts';
import { quantizedLayout } from '../tensor/quantized.ts';
import type { StoragePiece } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

interface EmbeddingVariant extends Variant {
  readonly dtype: Dtype;
}

const workgroupSize = 64;

/** One invocation per output element, if its id falls into the bound rows; the first piece also answers ids beyond all. */
const embeddingKernel = defineKernel<EmbeddingVariant>({
  name: 'embedding',
  bindings: ({ dtype }, capabilities) => {
    const weights: BindingDeclaration[] = isQuantized(dtype)
      ? [
          { name: 'quants', type: 'array<u32>', access: 'read' },
          { name: 'scales', type: 'array<u32>', access: 'read' },
        ]
      : [{ name: 'weight', type: elementAccess('weight', dtype, capabilities).type, access: 'read' }];
    return [
      { name: 'ids', type: 'array<u32>', access: 'read' },
      { name: 'rows', type: 'array<f32>', access: 'read_write' },
      ...weights,
    ];
  },
  parameters: [
    ['elements', 'u32'],
    ['columns', 'u32'],
    ['first_row', 'u32'],
    ['row_count', 'u32'],
    ['vocabulary', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ dtype }, capabilities) => {
    const value = isQuantized(dtype)
      ? quantizedElement(dtype, 'quants', 'scales', 'at / 32u', 'at % 32u')
      : elementAccess('weight', dtype, capabilities).load('at');
    return {
      main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.elements) { return; }
  let id = ids[index / params.columns];
  if (id >= params.vocabulary) {
    if (params.first_row == 0u) { rows[index] = 0.0; }
    return;
  }
  let row = id - params.first_row;
  if (id < params.first_row || row >= params.row_count) { return; }
  let at = row * params.columns + index % params.columns;
  rows[index] = ${value};`,
    };
  },
});

/**
 * Rows of a weight matrix by id. Ids are on the GPU, so those outside the vocabulary cannot throw: they give rows of zeros.
 *
 * @param weight [V, E] of any float or quantized dtype; may be split over several buffers (one dispatch each)
 * @param ids u32 [...]
 * @returns f32 [..., E]
 * @throws ShapeError where shapes or dtypes do not fit.
 */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  const { gpu, dtype } = weight;
  const [vocabulary, columns] = weight.shape;
  if (weight.rank !== 2 || vocabulary === undefined || columns === undefined) {
    throw new ShapeError('embedding', `weight is [${weight.shape}]; it needs [V, E].`);
  }
  if (ids.dtype !== 'u32') throw new ShapeError('embedding', `ids are ${ids.dtype}; allowed: u32.`);
  if (dtype === 'i32' || dtype === 'u32')
    throw new ShapeError('embedding', `weight is ${dtype}; allowed: floats, quantized.`);
  if (vocabulary === 0) throw new ShapeError('embedding', 'the vocabulary is empty.');
  const held = weight.storage.pieces.reduce((sum, piece) => sum + piece.rows, 0);
  if (isQuantized(dtype) && (weight.offset !== 0 || held !== vocabulary)) {
    throw new ShapeError('embedding', `[${weight.shape}] is a view of part of a quantized tensor.`);
  }
  return gpu.tidy(() => {
    const table = contiguous(weight);
    const list = contiguous(ids);
    const rows = gpu.empty([...ids.shape, columns]);
    const { pieces } = table.storage;
    for (const piece of pieces) {
      gpu.launch(
        embeddingKernel,
        { dtype },
        {
          bindings: [list, rows, ...weightBindings(table, piece, columns)],
          parameters: [rows.size, columns, piece.rowStart, pieces.length > 1 ? piece.rows : vocabulary, vocabulary],
          workgroups: Math.ceil(rows.size / workgroupSize),
          cost: { flops: isQuantized(dtype) ? 2 * rows.size : 0, bytes: 8 * rows.size },
        },
      );
    }
    return rows;
  });
}

function weightBindings(table: Tensor, piece: StoragePiece, columns: number) {
  const { dtype, gpu } = table;
  const { buffer } = piece;
  if (isQuantized(dtype)) {
    const layout = quantizedLayout(dtype, piece.rows * columns);
    return [
      { buffer, offset: 0, bytes: layout.quantBytes },
      { buffer, offset: layout.scaleOffset, bytes: layout.scaleBytes },
    ];
  }
  if (table.storage.pieces.length === 1) return [gpu.range(table, 'embedding')];
  return [{ buffer, offset: 0, bytes: plainBytes(dtype, piece.rows * columns) }];
}
