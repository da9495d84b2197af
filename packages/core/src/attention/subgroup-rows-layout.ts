import { inputAccess, quadOfRow } from './elements.ts';
import { sharedPlace } from './features-layout.ts';
import type { LayoutBuilder } from './layout.ts';
import { isWritten, queryRow } from './order.ts';
import { entryRow, keyPosition, loadRow, lookedUp } from './positions.ts';
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
  // Loads and stores are long in the code of a software adapter, so they stand in a loop of a few quads per turn, and a turn's quads go where they belong.
  const perTurn = Math.min(4, quads.length);
  const turnsNeeded = range(Math.ceil(quads.length / perTurn));
  /** A loop over turns: statements per quad of a turn, then those that a quad of each turn needs, then the turn's last. */
  const inTurns = (
    first: (at: number) => readonly string[],
    each: (turn: number, at: number) => readonly string[],
    last: readonly string[] = [],
  ) => `for (var turn = 0u; ${perTurn}u * turn < params.quads; turn++) {
    ${range(perTurn)
      .map((at) => [`let turn_quad_${at} = ${perTurn}u * turn + ${at}u;`, ...first(at)].join(' '))
      .join('\n    ')}
    ${turnsNeeded
      .flatMap((turn) =>
        range(perTurn)
          .filter((at) => turn * perTurn + at < quads.length)
          .map((at) => each(turn, at).join(' ')),
      )
      .join('\n    ')}
    ${last.join('\n    ')}
  }`;
  // A row that is looked up is known a key ahead, so that the loads of a key wait for no other load.
  const [ahead, lookUp] = lookedUp(variant)
    ? [
        `var next_key_row = ${entryRow(variant, 'part_begin')};
  var next_load_row = ${loadRow(variant, 'next_key_row')};`,
        `let key_row = next_key_row;
    let load_row = next_load_row;
    next_key_row = ${entryRow(variant, '(tile + 1u)')};
    next_load_row = ${loadRow(variant, 'next_key_row')};`,
      ]
    : [
        '',
        `let key_row = ${entryRow(variant, 'tile')};
    let load_row = ${loadRow(variant, 'key_row')};`,
      ];
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
    prepare: `
  ${ahead}
  ${each((row, quad) => `var query_${row}_${quad} = vec4f(); var total_${row}_${quad} = vec4f();`)}
  ${inTurns(
    (at) =>
      rows.map(
        (row) =>
          `let loaded_${row}_${at} = ${quadOfRow(query, headSize, `(query_at_${row} + 4u * turn_quad_${at})`, `turn_quad_${at}`)};`,
      ),
    (turn, at) =>
      rows.map((row) => {
        const name = `query_${row}_${turn * perTurn + at}`;
        return `${name} = select(${name}, loaded_${row}_${at}, turn == ${turn}u);`;
      }),
  )}`,
    scores: `
    ${lookUp}
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
  ${inTurns(
    (at) => rows.map((row) => `var result_${row}_${at} = vec4f();`),
    (turn, at) =>
      rows.map((row) => {
        const name = `result_${row}_${at}`;
        return `${name} = select(${name}, total_${row}_${turn * perTurn + at}, turn == ${turn}u);`;
      }),
    rows.map(
      (row) => `if (${isWritten(variant, exists(row), `output_row_${row}`)}) {
      ${range(perTurn)
        .map((at) => {
          const stores = range(4).map((d) => {
            const element = `4u * turn_quad_${at} + ${d}u`;
            const store = `output[output_row_${row} + ${element}] = result_${row}_${at}[${d}] * inverse_${row};`;
            return headSize % (4 * perTurn) === 0 ? store : `if (${element} < ${headSize}u) { ${store} }`;
          });
          return stores.join(' ');
        })
        .join('\n      ')}
    }`,
    ),
  )}`,
    leads: 'true',
  };
};
