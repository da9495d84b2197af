import { inputAccess, quadOfRow } from './elements.ts';
import type { LayoutBuilder, ScoreSlot } from './layout.ts';
import { isWritten, queryRow } from './order.ts';
import { entryRow, keyPosition, loadRow } from './positions.ts';
import { range } from './text.ts';

/** Query rows of a workgroup. */
export const stagedRowsPerWorkgroup = 64;

/** Key rows of a tile in workgroup memory: at most 8 KiB, so that two workgroups fit into WebGPU's least. */
function stagedTile(headSize: number, software: boolean): number {
  return Math.max(4, Math.min(software ? 8 : 16, Math.floor(512 / Math.ceil(headSize / 4))));
}

/**
 * One invocation per query row; keys, then values, pass through workgroup memory, which all 64 rows read. Needs no
 * optional feature. Invariant: the loop bounds are the same for all invocations, so that the barriers are uniform.
 */
export const stagedRows: LayoutBuilder = (variant, capabilities) => {
  const { headSize } = variant;
  const quads = Math.ceil(headSize / 4);
  const tile = stagedTile(headSize, capabilities.software);
  // Software adapters compile for half a minute when these loops are unrolled: there the bound is a uniform.
  const bound = capabilities.software ? 'params.quads' : `${quads}u`;
  const workgroupSize = stagedRowsPerWorkgroup;
  const query = inputAccess('query', variant.queryDtype, false, capabilities);
  const slots: ScoreSlot[] = range(tile).map((index) => ({
    score: `score_${index}`,
    entry: `(tile + ${index}u)`,
    row: `key_row_${index}`,
    position: variant.keyPositions ? `position_${index}` : `key_row_${index}`,
  }));
  const stage = (name: 'key' | 'value') => {
    const input = inputAccess(`${name}s`, variant.keyDtype, variant.vector, capabilities);
    const value = quadOfRow(input, headSize, 'at', 'quad');
    return `
    workgroupBarrier();
    for (var index = lane; index < ${tile * quads}u; index += ${workgroupSize}u) {
      let quad = index % ${quads}u;
      let row = ${entryRow(variant, `tile + index / ${quads}u`)};
      let at = ${name}_base + ${loadRow(variant, 'row')} * params.${name}_row + 4u * quad;
      staged[index] = ${value};
    }
    workgroupBarrier();`;
  };
  const exists = variant.queryBlocks ? 'own_query <= last_query' : 'own_query < params.queries';
  return {
    workgroupSize,
    tile,
    declarations: `var<workgroup> staged: array<vec4f, ${tile * quads}>;`,
    place: `${rowsPlace(workgroupSize, variant.queryBlocks)}
  let own_query = first_query + lane;`,
    rows: [{ suffix: '', query: 'own_query', head: 'head', exists, slots }],
    prepare: `
  var query_row: array<vec4f, ${quads}>;
  var accumulator: array<vec4f, ${quads}>;
  {
    let at = params.query_start + batch * params.query_batch + head * params.query_head + ${queryRow(variant, 'min(own_query, last_query)')} * params.query_row;
    for (var quad = 0u; quad < ${bound}; quad++) {
      query_row[quad] = ${quadOfRow(query, headSize, '(at + 4u * quad)', 'quad')};
      accumulator[quad] = vec4f();
    }
  }`,
    scores: `${stage('key')}
    ${slots
      .map((slot, index) => {
        const row = `let ${slot.row} = ${entryRow(variant, `tile + ${index}u`)};`;
        const position = `let ${slot.position} = ${keyPosition(variant, slot.row)};`;
        return `var ${slot.score} = 0.0;\n    ${row}${variant.keyPositions ? `\n    ${position}` : ''}`;
      })
      .join('\n    ')}
    for (var quad = 0u; quad < ${bound}; quad++) {
      let factor = query_row[quad];
      ${slots.map((slot, index) => `${slot.score} += dot(factor, staged[${index * quads}u + quad]);`).join('\n      ')}
    }`,
    reduceMaximum: '',
    accumulate: `${stage('value')}
    for (var quad = 0u; quad < ${bound}; quad++) {
      var total = accumulator[quad] * correction;
      ${slots.map((slot, index) => `total += ${slot.score} * staged[${index * quads}u + quad];`).join('\n      ')}
      accumulator[quad] = total;
    }`,
    reduceSum: '',
    write: `
  if (${isWritten(variant, exists, 'output_row')}) {
    for (var quad = 0u; quad < ${bound}; quad++) {
      let value = accumulator[quad] * inverse;
      ${range(4)
        .map((d) => {
          const store = `output[output_row + 4u * quad + ${d}u] = value[${d}];`;
          return headSize % 4 === 0 ? store : `if (4u * quad + ${d}u < ${headSize}u) { ${store} }`;
        })
        .join('\n      ')}
    }
  }`,
    leads: 'true',
  };
};

/**
 * Declares where a workgroup stands: `queryRows` consecutive queries of one query head, and of one query block where lists
 * differ between those. Longest causal rows first.
 */
export function rowsPlace(queryRows: number, queryBlocks: boolean): string {
  const tiles = (count: string) => `(${count} + ${queryRows - 1}u) / ${queryRows}u`;
  const rowTiles = queryBlocks
    ? `let block_tiles = ${tiles('params.query_block')};
  let row_tiles = (params.queries + params.query_block - 1u) / params.query_block * block_tiles;`
    : `let row_tiles = ${tiles('params.queries')};`;
  const first = queryBlocks
    ? `let first_in_block = row_tile / block_tiles * params.query_block;
  let first_query = first_in_block + row_tile % block_tiles * ${queryRows}u;`
    : `let first_query = row_tile * ${queryRows}u;`;
  const bound = queryBlocks ? 'min(first_in_block + params.query_block, params.queries)' : 'params.queries';
  return `
  let part = group % params.parts;
  ${rowTiles}
  let row_tile = row_tiles - 1u - (group / params.parts) % row_tiles;
  let head = (group / (params.parts * row_tiles)) % params.heads;
  let batch = group / (params.parts * row_tiles * params.heads);
  let kv_head = head / params.heads_per_kv;
  ${first}
  let last_query = min(first_query + ${queryRows}u, ${bound}) - 1u;`;
}
