import { defineKernel } from '../../kernels/kernel.ts';
import {
  leftAccess,
  locateTile,
  type Product,
  type ProductVariant,
  productBindings,
  productParameters,
  repeat,
  storeResult,
} from './product.ts';

/** Most rows: with four, the schedule `lanes` was faster (2.5 ms for 3.2 at 4 x 576 x 3072 on lavapipe). */
export const mostColumnsRows = 2;

/** One subgroup. */
const lanes = 8;

/** Columns that one load gives, and an invocation owns. */
const width = 4;

/** Columns of a workgroup. */
export const columnsOfTile = lanes * width;

/**
 * Few rows times an f32 operand whose columns stand side by side, for software adapters with subgroups of eight: an invocation owns four neighbouring columns, and one
 * load gives all of them at an inner position. The left elements of eight positions are one load of the subgroup, handed round.
 */
export const columnsKernel = defineKernel<ProductVariant & { readonly rowsPerLane: number }>({
  name: 'matmul.columns',
  bindings: (variant, capabilities) =>
    productBindings(variant, capabilities).map((binding) =>
      binding.name === 'right' ? { ...binding, type: 'array<vec4f>' } : binding,
    ),
  parameters: productParameters,
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const { rowsPerLane } = variant;
    const left = leftAccess(variant, capabilities);
    const eachRow = (text: (row: number) => string) => repeat(rowsPerLane, text);
    const rowOf = (row: number) => `tile_row * ${rowsPerLane}u + ${row}u`;
    return {
      subgroups: true,
      main: `
  ${locateTile(variant, rowsPerLane, columnsOfTile)}
  let column = (tile_column * ${lanes}u + lane) * ${width}u;
  let right_base = right_start + min(column, params.columns - ${width}u);
  ${eachRow((row) => `let left_row${row} = left_start + min(${rowOf(row)}, params.rows - 1u) * params.left_row; var sum${row} = vec4f();`)}
  for (var start = 0u; start < params.inner; start += 8u) {
    let own = start + (subgroup_lane & 7u);
    ${eachRow((row) => `let left${row} = select(0.0, ${left.load(`left_row${row} + min(own, params.inner - 1u) * params.left_inner`)}, own < params.inner);`)}
    ${repeat(8, (step) => `let right${step} = right[(right_base + min(start + ${step}u, params.inner - 1u) * params.right_inner) >> 2u];`)}
    ${repeat(8, (step) => eachRow((row) => `sum${row} = fma(vec4f(subgroupShuffle(left${row}, ${step}u)), right${step}, sum${row});`))}
  }
  ${eachRow((row) =>
    repeat(width, (element) =>
      storeResult(variant, capabilities, rowOf(row), `(column + ${element}u)`, `sum${row}[${element}]`),
    ),
  )}`,
    };
  },
});

/** Whether one load gives four neighbouring columns of the right operand. */
export function columnsInFours({ right, columns, inner, batch }: Product): boolean {
  const walked = right.batchStrides.filter((_, axis) => (batch[axis] ?? 1) > 1);
  const strides = [right.offset, columns, ...(inner > 1 ? [right.innerStride] : []), ...walked];
  return right.format === 'f32' && right.columnStride === 1 && strides.every((stride) => stride % 4 === 0);
}
