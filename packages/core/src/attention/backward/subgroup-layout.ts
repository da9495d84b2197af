import { butterflySums } from '../butterfly.ts';
import { range } from '../text.ts';
import { type GradientLayout, gradientsOf, storeText, totalsText } from './gradient-layout.ts';
import { pairText } from './pair-text.ts';
import { streamedRows } from './variant.ts';

/** Invocations of a workgroup: one subgroup. */
export const subgroupLanes = 8;

/** Own rows: more would spill the registers of wide heads. */
export function subgroupRows(headSize: number): number {
  return headSize <= 64 ? 8 : headSize <= 128 ? 4 : 2;
}

/**
 * Eight invocations, one subgroup, along the head size, for rows that are bound as quads. Streamed rows come one by one: each of
 * their quads is loaded once and serves three or four products of every own row. Partial dot products are summed by a
 * transposing butterfly, after which invocation i holds the pair of own row i, and one exponential serves all. No barrier, no
 * workgroup memory.
 */
export const subgroupLayout: GradientLayout = (variant, walk, inputs) => {
  const rows = range(variant.ownRows);
  // Rows that lists name are looked up by all invocations at once, one for each.
  const packRows = walk.lookup ? subgroupLanes : streamedRows;
  const cells = range(variant.cells);
  const kinds = ['first', 'second'] as const;
  const ownUnits = rows.flatMap((row) =>
    kinds.flatMap((kind) => {
      const name = walk.own[kind];
      const load = (cell: number) => inputs[name].load4(`own_${name}_at_${row} + 4u * quad_${cell}`);
      return cells.map((cell) => `let own_${kind}_${row}_${cell} = select(vec4f(), ${load(cell)}, has_${cell});`);
    }),
  );
  const starts = rows.flatMap((row) =>
    kinds.map((kind) => {
      const name = walk.own[kind];
      return `let own_${name}_at_${row} = subgroupShuffle(${name}_at_0, ${row}u);`;
    }),
  );
  const streamedUnits = kinds.flatMap((kind) => {
    const name = walk.streamed[kind];
    return cells.map((cell) => `let ${kind}_unit_${cell} = ${inputs[name].load4(`${name}_at_0 + 4u * quad_${cell}`)};`);
  });
  const dots = (kind: 'first' | 'second', result: string) => `
      ${range(subgroupLanes)
        .map((row) => {
          const terms = cells.map((cell) => `dot(own_${kind}_${row}_${cell}, ${kind}_unit_${cell})`);
          return `var ${result}_of_${row} = ${row < variant.ownRows ? terms.join(' + ') : '0.0'};`;
        })
        .join('\n      ')}
      ${butterflySums(`${result}_of`)}
      let ${result}_0 = ${result}_of_0;`;
  const factors = { first: 'score_gradient_0', second: 'weight_0' } as const;
  const sums = gradientsOf(variant).flatMap((kind) =>
    rows.map((row) => {
      const adds = cells.map((cell) => `${kind}_${row}_${cell} += factor * ${kind}_unit_${cell};`);
      return `{ let factor = subgroupShuffle(${factors[kind]}, ${row}u); ${adds.join(' ')} }`;
    }),
  );
  return {
    declarations: '',
    lanes: `
  let own_lane = subgroup_lane;
  let column_lane = subgroup_lane;`,
    prepare: `
  ${cells
    .map(
      (cell) => `let quad_${cell} = min(${cell * subgroupLanes}u + column_lane, params.quads - 1u);
  let has_${cell} = ${cell * subgroupLanes}u + column_lane < params.quads;`,
    )
    .join('\n  ')}
  ${starts.join('\n  ')}
  ${ownUnits.join('\n  ')}
  ${totalsText(variant, variant.ownRows)}`,
    tile: `
    for (var pack = 0u; pack < count; pack += ${packRows}u) {
    ${walk.lookup ? `let lane_row = ${walk.lookup('pack + subgroup_lane')};` : ''}
    for (var index = pack; index < min(pack + ${packRows}u, count); index++) {
      ${walk.stream(0, 'index', walk.lookup && 'subgroupShuffle(lane_row, index - pack)')}
      ${streamedUnits.join('\n      ')}
      ${dots('first', 'score')}
      ${dots('second', 'weight_gradient')}
      ${pairText(variant, walk, 0, 0, 0)}
      ${sums.join('\n      ')}
    }
    }`,
    write: `
  let own_result_row = ${walk.resultRow(0)};
  let own_exists = select(0u, 1u, ${walk.exists(0)});
  ${rows
    .map((row) => {
      const shared = `let result_row_${row} = subgroupShuffle(own_result_row, ${row}u);
  let exists_${row} = subgroupShuffle(own_exists, ${row}u) != 0u;`;
      const [exists, resultRow] = [`exists_${row}`, `result_row_${row}`];
      return `${shared}\n  ${storeText(variant, { row, exists, resultRow, columns: subgroupLanes })}`;
    })
    .join('\n  ')}`,
  };
};
