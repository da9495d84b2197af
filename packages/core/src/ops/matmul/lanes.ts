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

/** Specialisation of {@link lanesKernel}. */
export type LanesVariant = ProductVariant & {
  /** Rows and columns of the register tile of one invocation. */
  readonly rowsPerLane: number;
  readonly columnsPerLane: number;
  readonly lanes: number;
  /**
   * Each lane loads one of eight left elements and hands it to the others; needs subgroups of 8 or more. By shuffles: lavapipe makes
   * one instruction of a shuffle and three of a broadcast.
   */
  readonly broadcast: boolean;
};

/**
 * Matrix product for adapters that run invocations as SIMD lanes of a CPU, where every load is a gather, uniform or not,
 * and costs as much as some thirty multiplications. Lane `l` owns columns `l`, `l + lanes`, ...; the eight left elements
 * of an octet are one load of the subgroup, broadcast from register to register. No workgroup memory, no barrier.
 */
export const lanesKernel = defineKernel<LanesVariant>({
  name: 'matmul.lanes',
  bindings: productBindings,
  parameters: productParameters,
  workgroupSize: (variant) => variant.lanes,
  source: (variant, capabilities) => {
    const { rowsPerLane, columnsPerLane, lanes, broadcast } = variant;
    const right = rightOperand(variant.right, capabilities);
    const left = leftAccess(variant, capabilities);
    const whole = right.octetsPerBlock > 1;
    const leftIndex = (row: number, position: string) =>
      whole
        ? `left_row${row} + (${position}) * params.left_inner`
        : `left_row${row} + min(${position}, params.inner - 1u) * params.left_inner`;
    const guarded = (row: number, position: string) => {
      const load = left.load(leftIndex(row, position));
      return whole ? load : `select(0.0, ${load}, ${position} < params.inner)`;
    };
    const element = (index: number) => `{
      ${repeat(columnsPerLane, (column) => `let value${column} = ${right.value(`c${column}`, index)};`)}
      ${repeat(rowsPerLane, (row) => {
        const x = broadcast
          ? `subgroupShuffle(left${row}, ${index}u)`
          : guarded(row, `position + ${right.position(index)}u`);
        return `{ let x = ${x}; ${repeat(columnsPerLane, (column) => `sum${row}_${column} = fma(x, value${column}, sum${row}_${column});`)} }`;
      })}
    }`;
    const octet = `
      let position = block * ${8 * right.octetsPerBlock}u + octet * ${right.octetStep}u;
      ${broadcast ? repeat(rowsPerLane, (row) => `let left${row} = ${guarded(row, 'position + own_position')};`) : ''}
      ${repeat(columnsPerLane, (column) => right.openOctet(`c${column}`, 'block', 'octet'))}
      ${repeat(8, element)}`;
    const octets = whole
      ? `for (var octet = 0u; octet < ${right.octetsPerBlock}u; octet++) { ${octet} }`
      : `let octet = 0u; ${octet}`;
    const rowOf = (row: number) => `tile_row * ${rowsPerLane}u + ${row}u`;
    const columnOf = (column: number) => `column${column}`;
    return {
      subgroups: broadcast,
      main: `
  ${locateTile(variant, rowsPerLane, columnsPerLane * lanes)}
  ${broadcast ? `let own_element = subgroup_lane & 7u;\nlet own_position = ${right.positionExpression('own_element')};` : ''}
  ${repeat(rowsPerLane, (row) => `let left_row${row} = left_start + min(${rowOf(row)}, params.rows - 1u) * params.left_row;`)}
  ${repeat(columnsPerLane, (column) => `let column${column} = tile_column * ${columnsPerLane * lanes}u + ${column * lanes}u + lane;`)}
  ${repeat(columnsPerLane, (column) => right.openColumn(`c${column}`, `min(column${column}, params.columns - 1u)`))}
  ${repeat(rowsPerLane, (row) => repeat(columnsPerLane, (column) => `var sum${row}_${column} = 0.0;`))}
  let blocks = (params.inner + ${8 * right.octetsPerBlock - 1}u) / ${8 * right.octetsPerBlock}u;
  for (var block = 0u; block < blocks; block++) {
    ${repeat(columnsPerLane, (column) => right.openBlock(`c${column}`, 'block'))}
    ${octets}
  }
  ${repeat(rowsPerLane, (row) =>
    repeat(columnsPerLane, (column) =>
      storeResult(variant, capabilities, rowOf(row), columnOf(column), `sum${row}_${column}`),
    ),
  )}`,
    };
  },
});
