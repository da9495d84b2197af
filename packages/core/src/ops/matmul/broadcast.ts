import { type BindingDeclaration, defineKernel } from '../../kernels/kernel.ts';
import { elementAccess } from '../../kernels/wgsl.ts';
import {
  fourLeft,
  leftAccess,
  locateTile,
  outputPlace,
  type ProductVariant,
  productBindings,
  productParameters,
  repeat,
} from './product.ts';
import { type QuantizedOperand, rightOperand } from './right-operand.ts';

/** Inner positions that eight lanes load together, an octet each. */
const roundSize = 64;

/** Specialisation of {@link broadcastKernel}. */
export type BroadcastVariant = ProductVariant & {
  readonly rowsPerLane: number;
  /** Inner positions of its rows that a lane holds, a multiple of 64. */
  readonly held: number;
  readonly lanes: number;
  /** The left operand is f32, and four neighbours of its inner axis are one load. */
  readonly leftFours: boolean;
};

/**
 * Many rows for adapters with subgroups of eight or more: an invocation owns rows and holds a stretch of their inner axis, then walks over the columns of its
 * tile. Eight neighbouring lanes load (and unpack) the same stretch of a column, an octet each, and shuffles hand every element to all rows. No
 * workgroup memory, no barrier, and no sum that lives longer than its column, so that the loop stays short; results of further stretches are added to the output.
 *
 * Rows that are indexed by a variable would leave the registers, so the loop over a stretch is text (decision 0072 has the same in attention).
 */
export const broadcastKernel = defineKernel<BroadcastVariant>({
  name: 'matmul.broadcast',
  bindings: (variant, capabilities) => {
    const [left, ...others] = productBindings(variant, capabilities);
    return [variant.leftFours ? fourLeft : (left as BindingDeclaration), ...others];
  },
  parameters: [...productParameters, ['tile_columns', 'u32']],
  workgroupSize: ({ lanes }) => lanes,
  source: (variant, capabilities) => {
    const { rowsPerLane, held, lanes, leftFours } = variant;
    const right = rightOperand(variant.right, capabilities);
    const left = leftAccess(variant, capabilities);
    const rounds = held / roundSize;
    const quads = held / 4;
    // What the blocks of a stretch share is one load of the eight lanes, handed round, rather than one per round.
    const sharesFactors = right.octetsPerBlock === 4 && rounds > 1;
    /** Sums of a row that take turns, so that additions overlap, where there are few rows. */
    const chains = rowsPerLane > 4 ? 1 : 2;
    const eachRow = (text: (row: number) => string) => repeat(rowsPerLane, text);
    /** Four neighbours of the inner axis from `position` on, zero past its end. */
    const leftQuad = (row: number) => {
      if (leftFours) {
        return `select(vec4f(), left[(left_row${row} + min(position, params.inner - 4u)) >> 2u], position < params.inner)`;
      }
      const element = (at: string) =>
        `select(0.0, ${left.load(`left_row${row} + min(${at}, params.inner - 1u) * params.left_inner`)}, ${at} < params.inner)`;
      return `vec4f(${[0, 1, 2, 3].map((at) => element(`(position + ${at}u)`)).join(', ')})`;
    };
    /** Where an element of an octet of a round stands in the stretch. */
    const place = (round: number, octet: number, element: number) => {
      const { octetsPerBlock, octetStep } = right;
      const block = Math.floor(octet / octetsPerBlock) * 8 * octetsPerBlock;
      return round * roundSize + block + (octet % octetsPerBlock) * octetStep + right.position(element);
    };
    const multiply = (round: number, octet: number, element: number) => {
      const at = place(round, octet, element);
      return `{ let w = subgroupShuffle(value${round}_${element}, ${octet}u); ${eachRow((row) => `sum${row}_${element % chains} = fma(x${row}_${at >> 2}[${at & 3}], w, sum${row}_${element % chains});`)} }`;
    };
    const hasEpilogue = variant.bias !== 'none' || variant.residual !== 'none';
    const epilogue = (at: string) => [
      ...(variant.bias === 'none'
        ? []
        : [elementAccess('bias', variant.bias, capabilities).load('params.column_start + column')]),
      ...(variant.residual === 'none' ? [] : [elementAccess('residual', variant.residual, capabilities).load(at)]),
    ];
    return {
      subgroups: true,
      main: `
  ${locateTile(variant, rowsPerLane * lanes, 'params.tile_columns')}
  let loading = subgroup_lane & 7u;
  ${eachRow((row) => `let row${row} = tile_row * ${rowsPerLane * lanes}u + ${row * lanes}u + lane; let left_row${row} = left_start + min(row${row}, params.rows - 1u) * params.left_row;`)}
  let full = (tile_row + 1u) * ${rowsPerLane * lanes}u <= params.rows;
  let first_column = tile_column * params.tile_columns;
  let end_column = min(first_column + params.tile_columns, params.columns);
  let last_block = (params.inner + ${8 * right.octetsPerBlock - 1}u) / ${8 * right.octetsPerBlock}u - 1u;
  for (var start = 0u; start < params.inner; start += ${held}u) {
    ${eachRow((row) => repeat(quads, (quad) => `var x${row}_${quad} = vec4f();`))}
    // A load is long in the code of a software adapter, so it stands in a loop, and a turn's quad goes where it belongs.
    for (var turn = 0u; turn < ${quads}u; turn++) {
      let position = start + 4u * turn;
      ${eachRow((row) => `let loaded${row} = ${leftQuad(row)};`)}
      ${repeat(quads, (quad) => `{ let own = turn == ${quad}u; ${eachRow((row) => `x${row}_${quad} = select(x${row}_${quad}, loaded${row}, own);`)} }`)}
    }
    for (var column = first_column; column < end_column; column++) {
      ${sharesFactors ? `let own_block = min(start / 32u + loading, last_block);\n      ${right.openColumn('own', 'column')}\n      ${right.openBlock('own', 'own_block')}` : ''}
      ${repeat(rounds, (round) => {
        const name = `c${round}`;
        const block = `block${round}`;
        const factors = (owner: string) => (right as QuantizedOperand).blockRegister(owner);
        const openBlock = sharesFactors
          ? `let ${factors(name)} = subgroupShuffle(${factors('own')}, ${2 * round}u + loading / 4u);`
          : right.openBlock(name, block);
        return `let octet_index${round} = start / 8u + ${8 * round}u + loading;
      let ${block} = min(octet_index${round} / ${right.octetsPerBlock}u, last_block);
      ${right.openColumn(name, 'column')}
      ${openBlock}
      ${right.openOctet(name, block, `(octet_index${round} % ${right.octetsPerBlock}u)`)}
      ${repeat(8, (element) => `let value${round}_${element} = ${right.value(name, element)};`)}`;
      })}
      ${eachRow((row) => repeat(chains, (chain) => `var sum${row}_${chain} = 0.0;`))}
      ${repeat(rounds, (round) => repeat(8, (octet) => repeat(8, (element) => multiply(round, octet, element))))}
      ${eachRow((row) => `var total${row} = ${chains === 1 ? `sum${row}_0` : `sum${row}_0 + sum${row}_1`};`)}
      // Rows that all exist are added without a condition each, which would be long in the code of a software adapter.
      if (full) {
        ${eachRow((row) => `let at${row} = ${outputPlace(`row${row}`, 'column')};`)}
        ${hasEpilogue ? `if (start == 0u) { ${eachRow((row) => `total${row} += ${epilogue(`at${row}`).join(' + ')};`)} }` : ''}
        ${eachRow((row) => `let before${row} = out[at${row}];`)}
        ${eachRow((row) => `out[at${row}] = total${row} + select(before${row}, 0.0, start == 0u);`)}
      } else {
        ${eachRow(
          (row) => `if (row${row} < params.rows) {
          let at = ${outputPlace(`row${row}`, 'column')};
          if (start == 0u) { out[at] = ${[`total${row}`, ...epilogue('at')].join(' + ')}; } else { out[at] += total${row}; }
        }`,
        )}
      }
    }
  }`,
    };
  },
});

/** How much of the inner axis is held: of the stretches up to `most`, the longest of those that stand out of it least. */
export function heldPositions(inner: number, most: number): number {
  const lengths = Array.from({ length: most / roundSize }, (_, index) => most - index * roundSize);
  const walked = (length: number) => Math.ceil(inner / length) * length;
  return lengths.reduce((best, length) => (walked(length) < walked(best) ? length : best));
}

/** Workgroups that keep the cores of a software adapter, or a GPU, busy to the end. */
const leastWorkgroups = 16;

/** Least columns of a tile: what a lane holds is loaded once for all of them. */
const leastColumns = 64;

/** Columns of a tile: as many as leave enough workgroups. `rowTiles`: tiles of rows, of all products. */
export function tileColumns(columns: number, rowTiles: number): number {
  const parts = Math.ceil(leastWorkgroups / rowTiles);
  return Math.max(Math.ceil(columns / parts), Math.min(leastColumns, columns));
}
