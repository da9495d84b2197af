import { quadOfLane, range } from '../text.ts';
import { type GradientLayout, gradientsOf } from './gradient-layout.ts';
import { pairText } from './pair-text.ts';
import type { GradientVariant } from './variant.ts';

/** Invocations of a workgroup: one subgroup. */
const lanes = 8;

/** Own rows of an invocation: as many as a cache beside the registers holds, with three or four numbers for each of their elements. */
export function subgroupRowsPerLane(headSize: number): number {
  return Math.max(1, Math.min(4, Math.floor(256 / headSize)));
}

/** Widest head whose rows an invocation owns whole: the kernel's text grows with it. */
export const widestOwnedHead = 128;

/**
 * As the forward pass lays out prompts (decision 0072): an invocation owns rows, whole, with the sums of their gradients. Eight invocations load a streamed
 * row together and hand its quads to all by shuffles, so that an element is loaded once for all own rows of the subgroup. No sum needs an exchange, no
 * workgroup memory, no barrier.
 */
export const subgroupRowsLayout: GradientLayout = (variant, walk, inputs) => {
  const rows = range(variant.rowsPerLane);
  const quads = range(variant.cells);
  const cells = range(Math.ceil(variant.cells / lanes));
  const kinds = ['first', 'second'] as const;
  const gradients = gradientsOf(variant);
  const each = (text: (row: number, quad: number) => string) =>
    rows.map((row) => quads.map((quad) => text(row, quad)).join(' ')).join('\n  ');
  const streamed = (kind: 'first' | 'second') => {
    const name = walk.streamed[kind];
    return cells
      .map((cell) => `let ${kind}_cell_${cell} = ${inputs[name].load4(`${name}_at_0 + 4u * quad_${cell}`)};`)
      .join(' ');
  };
  /** For each quad of the streamed row, handed to all invocations as `shared_quad`, statements per row. */
  const overQuads = (kind: 'first' | 'second', text: (row: number, quad: number) => string) =>
    quads
      .map(
        (quad) =>
          `{ let shared_quad = ${quadOfLane(`${kind}_cell_${Math.floor(quad / lanes)}`, quad % lanes, true)}; ${rows.map((row) => text(row, quad)).join(' ')} }`,
      )
      .join('\n      ');
  const dots = (kind: 'first' | 'second', result: string) => `
      ${rows.map((row) => `var ${result}_of_${row} = vec4f();`).join(' ')}
      ${overQuads(kind, (row, quad) => `${result}_of_${row} = fma(own_${kind}_${row}_${quad}, shared_quad, ${result}_of_${row});`)}
      ${rows.map((row) => `let ${result}_${row} = dot(${result}_of_${row}, vec4f(1.0));`).join(' ')}`;
  const factors = { first: 'score_gradient', second: 'weight' } as const;
  const sums = gradients
    .map((kind) =>
      overQuads(
        kind,
        (row, quad) =>
          `${kind}_${row}_${quad} = fma(vec4f(${factors[kind]}_${row}), shared_quad, ${kind}_${row}_${quad});`,
      ),
    )
    .join('\n      ');
  return {
    declarations: '',
    lanes: `
  let own_lane = subgroup_lane;`,
    // Loads and stores are long in the code of a software adapter, so they stand in loops, and a turn's quad goes where it belongs.
    prepare: `
  ${cells.map((cell) => `let quad_${cell} = min(${cell * lanes}u + subgroup_lane, ${quads.length - 1}u);`).join('\n  ')}
  ${kinds.map((kind) => each((row, quad) => `var own_${kind}_${row}_${quad} = vec4f();`)).join('\n  ')}
  ${gradients.map((kind) => each((row, quad) => `var ${kind}_${row}_${quad} = vec4f();`)).join('\n  ')}
  for (var quad = 0u; quad < params.quads; quad++) {
    ${kinds
      .map((kind) => {
        const name = walk.own[kind];
        const loads = rows.map(
          (row) => `let loaded_${kind}_${row} = ${inputs[name].load4(`${name}_at_${row} + 4u * quad`)};`,
        );
        return `${loads.join(' ')}
    ${each((row, quad) => `own_${kind}_${row}_${quad} = select(own_${kind}_${row}_${quad}, loaded_${kind}_${row}, quad == ${quad}u);`)}`;
      })
      .join('\n    ')}
  }`,
    tile: `
    for (var index = 0u; index < count; index++) {
      ${walk.stream(0, 'index')}
      ${kinds.map(streamed).join('\n      ')}
      ${dots('first', 'score')}
      ${dots('second', 'weight_gradient')}
      ${rows.map((row) => pairText(variant, walk, row, 0, row)).join('\n      ')}
      ${sums}
    }`,
    write: `
  for (var quad = 0u; quad < params.quads; quad++) {
    ${rows.map((row) => store(variant, row, walk.exists(row), walk.resultRow(row))).join('\n    ')}
  }`,
  };
};

/** Writes the turn's quad of an own row's gradients. */
function store(variant: GradientVariant, row: number, exists: string, resultRow: string): string {
  const kinds = gradientsOf(variant);
  const picked = kinds.map(
    (kind) =>
      `var result_${kind}_${row} = vec4f(); ${range(variant.cells)
        .map(
          (quad) => `result_${kind}_${row} = select(result_${kind}_${row}, ${kind}_${row}_${quad}, quad == ${quad}u);`,
        )
        .join(' ')}`,
  );
  const stores = kinds.map((kind) => {
    const value = `result_${kind}_${row}`;
    const start = kind === 'first' ? 'at' : 'params.second_start + at';
    const scaled = kind === 'first' ? `${value} *= params.scale;` : '';
    return `${scaled} ${range(4)
      .map((d) => `result[${start} + ${d}u] = ${value}[${d}];`)
      .join(' ')}`;
  });
  return `${picked.join('\n    ')}
    if (${exists}) {
      let at = (${resultRow}) * params.head_size + 4u * quad;
      ${stores.join('\n      ')}
    }`;
}
