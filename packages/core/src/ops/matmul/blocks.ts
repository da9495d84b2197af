import { defineKernel } from '../../kernels/kernel.ts';
import { mathFunctions } from '../../kernels/wgsl-math.ts';
import { type GateActivation, gateFunctions } from '../mlp.ts';
import {
  fourLeft,
  locateTile,
  type ProductVariant,
  productBindings,
  productParameters,
  repeat,
  storeResult,
} from './product.ts';
import { type WideOperand, wideOperand } from './right-operand.ts';

/** Fours of words in a cache line. */
const quadsPerLine = 4;

/** Specialisation of {@link blocksKernel}. */
export type BlocksVariant = ProductVariant & {
  readonly rowsPerLane: number;
  readonly columnsPerLane: number;
  readonly lanes: number;
  /** Of a gated MLP: an output is the activation of its column of the weight times the column that stands `columns` behind it. */
  readonly gate: GateActivation | 'none';
};

/**
 * Few rows times a quantized weight whose blocks of 32 are whole fours of words, for adapters with subgroups of eight or more and a left operand in fours: lane `l`
 * owns columns `l`, `l + lanes`, ... A block is one or two loads, the 32 left elements that it meets are one load of eight lanes, handed
 * round by shuffles.
 */
export const blocksKernel = defineKernel<BlocksVariant>({
  name: 'matmul.blocks',
  bindings: (variant, capabilities) => {
    const others = productBindings(variant, capabilities).slice(3);
    return [fourLeft, ...wide(variant).bindings, ...others];
  },
  parameters: productParameters,
  workgroupSize: ({ lanes }) => lanes,
  source: (variant, capabilities) => {
    const { rowsPerLane, columnsPerLane, lanes, gate } = variant;
    const right = wide(variant);
    const gated = gate !== 'none';
    const eachRow = (text: (row: number) => string) => repeat(rowsPerLane, text);
    const eachColumn = (text: (column: number) => string) => repeat(columnsPerLane, text);
    /** Columns of the weight: those of the outputs, then their partners. */
    const eachSum = (text: (column: number) => string) => repeat(columnsPerLane * (gated ? 2 : 1), text);
    const weightColumn = (sum: number) => {
      const own = `min(column${sum % columnsPerLane}, params.columns - 1u)`;
      return sum < columnsPerLane ? own : `(${own} + params.columns)`;
    };
    const result = (row: number, column: number) =>
      gated
        ? `${gateFunctions[gate]}(sum${row}_${column}) * sum${row}_${column + columnsPerLane}`
        : `sum${row}_${column}`;
    /** Four elements of an octet: they meet one quad of each row. */
    const half = (octet: number, first: number) => `{
      ${eachRow((row) => `let x${row} = subgroupShuffle(quad${row}, ${(octet * right.octetStep + right.position(first)) / 4}u);`)}
      ${eachSum((column) =>
        repeat(4, (element) => {
          const value = right.value(`c${column}`, octet, first + element);
          return `{ let w = ${value}; ${eachRow((row) => `sum${row}_${column} = fma(x${row}[${element}], w, sum${row}_${column});`)} }`;
        }),
      )}
    }`;
    const tileColumns = columnsPerLane * lanes;
    /** A load of each cache line of the tile's quants from column `first` on. */
    const touch = (first: string) => `{
    let columns = min(${tileColumns}u, params.columns - min(tile_column * ${tileColumns}u, params.columns));
    let base = (tile_column * ${tileColumns}u${first}) * blocks * ${right.loads}u;
    for (var at = ${quadsPerLine}u * lane; at < columns * blocks * ${right.loads}u; at += ${quadsPerLine * lanes}u) {
      touched = max(touched, quants[base + at].x);
    }
  }`;
    return {
      subgroups: true,
      ...(gated ? { declarations: mathFunctions('f32') } : {}),
      main: `
  ${locateTile(variant, rowsPerLane, columnsPerLane * lanes)}
  let own_quad = 4u * (subgroup_lane & 7u);
  ${eachRow((row) => `let left_row${row} = left_start + min(tile_row * ${rowsPerLane}u + ${row}u, params.rows - 1u) * params.left_row + own_quad;`)}
  ${eachColumn((column) => `let column${column} = tile_column * ${columnsPerLane * lanes}u + ${column * lanes}u + lane;`)}
  ${eachSum((column) => right.openColumn(`c${column}`, weightColumn(column)))}
  ${eachRow((row) => eachSum((column) => `var sum${row}_${column} = 0.0;`))}
  let blocks = params.inner >> 5u;
  // Columns stand far apart, so each lane's blocks would come from memory one after the other. Line by line they come all at once.
  var touched = 0u;
  ${touch('')}
  ${gated ? touch(' + params.columns') : ''}
  // There is no product without inner positions; no compiler knows, and so none drops the loads.
  sum0_0 = select(0.0, f32(touched), blocks == 0u);
  for (var block = 0u; block < blocks; block++) {
    ${eachRow((row) => `let quad${row} = left[(left_row${row} >> 2u) + 8u * block];`)}
    ${eachSum((column) => right.openBlock(`c${column}`, 'block'))}
    ${repeat(4, (octet) => `${half(octet, 0)}\n    ${half(octet, 4)}`)}
  }
  ${eachRow((row) =>
    eachColumn((column) =>
      storeResult(
        variant,
        capabilities,
        `(tile_row * ${rowsPerLane}u + ${row}u)`,
        `column${column}`,
        result(row, column),
      ),
    ),
  )}`,
    };
  },
});

function wide(variant: ProductVariant): WideOperand {
  const operand = wideOperand(variant.right);
  if (!operand) throw new Error(`matmul.blocks: ${variant.right} blocks are not whole fours of words.`);
  return operand;
}
