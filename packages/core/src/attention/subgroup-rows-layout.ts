import { inputAccess, quadOfRow } from './elements.ts';
import { sharedPlace } from './features-layout.ts';
import type { LayoutBuilder } from './layout.ts';
import { isWritten, queryRow } from './order.ts';
import { entryRow, keyPosition, loadRow } from './positions.ts';
import { subgroupRowsWorkgroup } from './prefill-variants.ts';
import { quadOfLane, range } from './text.ts';

/**
 * An invocation owns query rows, whole: queries and accumulators stay in its registers, and sums need no exchange. Eight
 * neighbouring invocations load a key together, each every eighth quad, and broadcasts hand its elements to all: an element is loaded once for all
 * rows of a subgroup, without a barrier and without workgroup memory. Needs subgroups of eight or more.
 *
 * Rows that are indexed by a variable would leave the registers, so loops over the head are text, and a tile is one key: more of them compile longer and are no
 * faster. Decision 0072 has the measurements.
 */
export const subgroupRows: LayoutBuilder = (variant, capabilities) => {
  const { headSize, sharedRows } = variant;
  const workgroupSize = subgroupRowsWorkgroup(capabilities);
  const rows = range(sharedRows / workgroupSize);
  const quads = range(Math.ceil(headSize / 4));
  const cells = range(Math.ceil(quads.length / 8));
  const query = inputAccess('query', variant.queryDtype, false, capabilities);
  const exists = (row: number) => `first_row + ${row * workgroupSize}u + lane <= last_row`;
  const each = (text: (row: number, quad: number) => string) =>
    rows.map((row) => quads.map((quad) => text(row, quad)).join(' ')).join('\n    ');
  /** Declares `<name>_cell_<cell>`: the quads of the key's row that this invocation loads. */
  const load = (name: 'key' | 'value') => {
    const input = inputAccess(`${name}s`, variant.keyDtype, variant.vector, capabilities);
    const at = `${name}_base + load_row * params.${name}_row`;
    return cells
      .map(
        (cell) =>
          `let ${name}_cell_${cell} = ${quadOfRow(input, headSize, `(${at} + 4u * quad_${cell})`, `quad_${cell}`)};`,
      )
      .join('\n    ');
  };
  /** For each quad of the key's row, handed to all invocations as `shared_quad`, a statement per row. */
  const overQuads = (name: 'key' | 'value', text: (row: number, quad: number) => string) =>
    quads
      .map(
        (quad) => `{
      let shared_quad = ${quadOfLane(`${name}_cell_${Math.floor(quad / 8)}`, quad % 8, capabilities.software)};
      ${rows.map((row) => text(row, quad)).join(' ')}
    }`,
      )
      .join('\n    ');
  return {
    workgroupSize,
    tile: 1,
    declarations: '',
    place: `${sharedPlace(variant)}
  ${cells.map((cell) => `let quad_${cell} = min(${8 * cell}u + (subgroup_lane & 7u), ${quads.length - 1}u);`).join('\n  ')}
  ${rows
    .map(
      (row) => `let row_${row} = min(first_row + ${row * workgroupSize}u + lane, last_row);
  let query_${row} = row_${row} / params.shared_heads;
  let head_${row} = head + row_${row} % params.shared_heads;
  let query_at_${row} = params.query_start + batch * params.query_batch + head_${row} * params.query_head + ${queryRow(variant, `query_${row}`)} * params.query_row;`,
    )
    .join('\n  ')}`,
    rows: rows.map((row) => ({
      suffix: `_${row}`,
      query: `query_${row}`,
      head: `head_${row}`,
      exists: exists(row),
      slots: [
        {
          score: `score_${row}`,
          entry: 'tile',
          row: 'key_row',
          position: variant.keyPositions ? 'position' : 'key_row',
        },
      ],
    })),
    // Loads and stores are long in the code of a software adapter, so they stand in loops, and a turn's quad goes where it belongs.
    prepare: `
  ${each((row, quad) => `var query_${row}_${quad} = vec4f(); var total_${row}_${quad} = vec4f();`)}
  for (var quad = 0u; quad < params.quads; quad++) {
    ${rows.map((row) => `let loaded_${row} = ${quadOfRow(query, headSize, `(query_at_${row} + 4u * quad)`, 'quad')};`).join('\n    ')}
    ${each((row, quad) => `query_${row}_${quad} = select(query_${row}_${quad}, loaded_${row}, quad == ${quad}u);`)}
  }`,
    scores: `
    let key_row = ${entryRow(variant, 'tile')};
    let load_row = ${loadRow(variant, 'key_row')};
    ${variant.keyPositions ? `let position = ${keyPosition(variant, 'key_row')};` : ''}
    ${load('key')}
    ${rows.map((row) => `var score_${row} = 0.0;`).join(' ')}
    ${overQuads('key', (row, quad) => `score_${row} += dot(query_${row}_${quad}, shared_quad);`)}`,
    reduceMaximum: '',
    rescale: each((row, quad) => `total_${row}_${quad} *= correction_${row};`),
    accumulate: `
    ${load('value')}
    ${overQuads('value', (row, quad) => `total_${row}_${quad} += score_${row} * shared_quad;`)}`,
    reduceSum: '',
    write: `
  for (var quad = 0u; quad < params.quads; quad++) {
    ${rows.map((row) => `var result_${row} = vec4f();`).join(' ')}
    ${each((row, quad) => `result_${row} = select(result_${row}, total_${row}_${quad}, quad == ${quad}u);`)}
    ${rows
      .map(
        (row) => `if (${isWritten(variant, exists(row), `output_row_${row}`)}) {
      result_${row} *= inverse_${row};
      ${range(4)
        .map((d) => {
          const store = `output[output_row_${row} + 4u * quad + ${d}u] = result_${row}[${d}];`;
          return headSize % 4 === 0 ? store : `if (4u * quad + ${d}u < ${headSize}u) { ${store} }`;
        })
        .join(' ')}
    }`,
      )
      .join('\n    ')}
  }`,
    leads: 'true',
  };
};
