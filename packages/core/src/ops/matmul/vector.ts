import { defineKernel } from '../../kernels/kernel.ts';
import {
  leftAccess,
  locateTile,
  type ProductVariant,
  productBindings,
  productParameters,
  repeat,
  storeResult,
} from './product.ts';
import { rightOperand } from './right-operand.ts';

/** Specialisation of {@link vectorKernel}. */
export type VectorVariant = ProductVariant & {
  /** Rows of the left operand that one workgroup multiplies: 1, 2 or 4. */
  readonly rows: number;
};

/** Columns of a workgroup, and invocations that share the inner axis of one column. */
export const vectorColumns = 4;
const innerLanes = 16;

/**
 * Matrix-vector product for GPUs: 16 invocations walk the inner axis of one column side by side in octets (so a subgroup
 * reads neighbouring weight words), then add up their partial sums in workgroup memory in a fixed order.
 */
export const vectorKernel = defineKernel<VectorVariant>({
  name: 'matmul.vector',
  bindings: productBindings,
  parameters: productParameters,
  workgroupSize: () => innerLanes * vectorColumns,
  source: (variant, capabilities) => {
    const { rows } = variant;
    const right = rightOperand(variant.right, capabilities);
    const left = leftAccess(variant, capabilities);
    const whole = right.octetsPerBlock > 1;
    const load = (row: number, element: number) => {
      const position = `position + ${right.position(element)}u`;
      const at = whole ? position : `min(${position}, params.inner - 1u)`;
      const value = left.load(`left_row${row} + (${at}) * params.left_inner`);
      return whole ? value : `select(0.0, ${value}, ${position} < params.inner)`;
    };
    const rowOf = (row: number) => `tile_row * ${rows}u + ${row}u`;
    return {
      declarations: `var<workgroup> partial: array<f32, ${innerLanes * vectorColumns * rows}>;`,
      main: `
  ${locateTile(variant, rows, vectorColumns)}
  let inner_lane = lane % ${innerLanes}u;
  let column = tile_column * ${vectorColumns}u + lane / ${innerLanes}u;
  ${repeat(rows, (row) => `let left_row${row} = left_start + min(${rowOf(row)}, params.rows - 1u) * params.left_row;`)}
  ${right.openColumn('c', 'min(column, params.columns - 1u)')}
  ${repeat(rows, (row) => `var sum${row} = 0.0;`)}
  let octets = (params.inner + 7u) / 8u;
  for (var index = inner_lane; index < octets; index += ${innerLanes}u) {
    let block = index / ${right.octetsPerBlock}u;
    let octet = index % ${right.octetsPerBlock}u;
    let position = block * ${8 * right.octetsPerBlock}u + octet * ${right.octetStep}u;
    ${right.openBlock('c', 'block')}
    ${right.openOctet('c', 'block', 'octet')}
    ${repeat(
      8,
      (element) => `{
      let value = ${right.value('c', element)};
      ${repeat(rows, (row) => `sum${row} = fma(${load(row, element)}, value, sum${row});`)}
    }`,
    )}
  }
  ${repeat(rows, (row) => `partial[lane * ${rows}u + ${row}u] = sum${row};`)}
  for (var half = ${innerLanes / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (inner_lane < half) {
      ${repeat(rows, (row) => `partial[lane * ${rows}u + ${row}u] += partial[(lane + half) * ${rows}u + ${row}u];`)}
    }
  }
  if (inner_lane == 0u) {
    ${repeat(rows, (row) => storeResult(variant, capabilities, rowOf(row), 'column', `partial[lane * ${rows}u + ${row}u]`))}
  }`,
    };
  },
});
