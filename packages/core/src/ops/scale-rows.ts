import { ShapeError } from '../errors.ts';
import type { Variant } from '../kernels/kernel.ts';
import { isQuantized } from '../tensor/dtype.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cast, contiguous } from './copy.ts';
import { defineElementKernel, floatBindings, launchElements } from './element-kernel.ts';

interface ScaleRowsVariant extends Variant {
  readonly grouped: boolean;
  readonly residual: boolean;
}

/** `out[r, c] = x[r, c] * factors[row_groups[r], c] + residual[r, c]` */
const scaleRowsKernel = defineElementKernel<ScaleRowsVariant>({
  name: 'scaleRows',
  bindings: ({ grouped, residual }) => [
    ...floatBindings(residual ? ['x', 'factors', 'residual'] : ['x', 'factors'], []),
    ...(grouped ? [{ name: 'row_groups', type: 'array<u32>', access: 'read' } as const] : []),
    ...floatBindings([], ['out']),
  ],
  parameters: [['columns', 'u32']],
  main: ({ grouped, residual }) => `
  let column = at % params.columns;
  let factor = factors[${grouped ? 'row_groups[at / params.columns] * params.columns + ' : ''}column];
  out[at] = x[at] * factor${residual ? ' + residual[at]' : ''};`,
});

export interface ScaleRowsOptions {
  /** The row of `factors` that each row of x takes, u32 [rows of x], below G. Default: all take the only one. */
  readonly rowGroups?: Tensor | undefined;
  /** Floats in the shape of x that are added to the result, as around a gated branch. */
  readonly residual?: Tensor | undefined;
}

/**
 * Rows times factors of their columns, plus a residual: gates of adaptive layers.
 *
 * @param x floats [R, E]
 * @param factors floats [G, E]; without `rowGroups` [1, E]
 * @returns f32 [R, E]
 * @throws ShapeError where shapes or dtypes do not fit
 */
export function scaleRows(x: Tensor, factors: Tensor, { rowGroups, residual }: ScaleRowsOptions = {}): Tensor {
  const { gpu } = x;
  const [rows, columns] = x.shape as [number, number];
  const floats = [x, factors, ...(residual ? [residual] : [])];
  for (const { dtype, rank, shape } of floats) {
    if (rank === 2 && shape[1] === columns && !isQuantized(dtype) && dtype !== 'i32' && dtype !== 'u32') continue;
    throw new ShapeError('scaleRows', `got ${dtype}[${shape}] for x [${x.shape}]; expected floats [rows, ${columns}].`);
  }
  if (!rowGroups && factors.shape[0] !== 1) {
    throw new ShapeError('scaleRows', `factors are [${factors.shape}]; without rowGroups they are [1, ${columns}].`);
  }
  if (rowGroups && (rowGroups.dtype !== 'u32' || !sameShape(rowGroups.shape, [rows]))) {
    throw new ShapeError('scaleRows', `rowGroups are ${rowGroups.dtype}[${rowGroups.shape}]; expected u32 [${rows}].`);
  }
  if (residual && !sameShape(residual.shape, x.shape)) {
    throw new ShapeError('scaleRows', `residual is [${residual.shape}], x is [${x.shape}].`);
  }
  return gpu.tidy(() => {
    const out = gpu.empty(x.shape);
    const read = floats.map((tensor) => contiguous(cast(tensor, 'f32')));
    launchElements(
      gpu,
      scaleRowsKernel,
      { grouped: rowGroups !== undefined, residual: residual !== undefined },
      x.size,
      {
        bindings: [...read, ...(rowGroups ? [contiguous(rowGroups)] : []), out],
        parameters: [columns],
        cost: { flops: 2 * x.size, bytes: 4 * (residual ? 3 : 2) * x.size },
      },
    );
    return out;
  });
}
