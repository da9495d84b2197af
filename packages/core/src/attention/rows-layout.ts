import { inputAccess, quadOfRow } from './elements.ts';
import type { LayoutBuilder, ScoreSlot } from './layout.ts';
import { entryPosition, loadPosition } from './positions.ts';
import { range } from './text.ts';

/** Query rows of a workgroup. */
export const stagedRowsPerWorkgroup = 64;

/** Key rows of a tile in workgroup memory: at most 8 KiB, so that two workgroups fit into WebGPU's least. */
export function stagedTile(headSize: number, software: boolean): number {
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
    position: `position_${index}`,
  }));
  const stage = (
    name: 'keys' | 'values',
    offset: string,
    batchStride: string,
    headStride: string,
    rowStride: string,
  ) => {
    const input = inputAccess(name, variant.keyDtype, variant.vector, capabilities);
    const value = quadOfRow(input, headSize, 'at', 'quad');
    return `
    workgroupBarrier();
    for (var index = lane; index < ${tile * quads}u; index += ${workgroupSize}u) {
      let row = index / ${quads}u;
      let quad = index % ${quads}u;
      let row_position = ${entryPosition(variant, 'tile + row')};
      let at = params.${offset} + batch * params.${batchStride} + kv_head * params.${headStride}
        + ${loadPosition(variant, 'row_position')} * params.${rowStride} + 4u * quad;
      staged[index] = ${value};
    }
    workgroupBarrier();`;
  };
  return {
    workgroupSize,
    tile,
    declarations: `var<workgroup> staged: array<vec4f, ${tile * quads}>;`,
    place: `${rowsPlace(workgroupSize)}
  let own_query = first_query + lane;`,
    rows: [{ suffix: '', query: 'own_query', head: 'head', exists: 'own_query < params.queries', slots }],
    prepare: `
  var query_row: array<vec4f, ${quads}>;
  var accumulator: array<vec4f, ${quads}>;
  {
    let at = params.query_start + batch * params.query_batch + head * params.query_head + min(own_query, last_query) * params.query_row;
    for (var quad = 0u; quad < ${bound}; quad++) {
      query_row[quad] = ${quadOfRow(query, headSize, '(at + 4u * quad)', 'quad')};
      accumulator[quad] = vec4f();
    }
  }`,
    scores: `${stage('keys', 'key_start', 'key_batch', 'key_head', 'key_row')}
    ${slots.map((slot, index) => `var ${slot.score} = 0.0;\n    let ${slot.position} = ${entryPosition(variant, `tile + ${index}u`)};`).join('\n    ')}
    for (var quad = 0u; quad < ${bound}; quad++) {
      let factor = query_row[quad];
      ${slots.map((slot, index) => `${slot.score} += dot(factor, staged[${index * quads}u + quad]);`).join('\n      ')}
    }`,
    reduceMaximum: '',
    accumulate: `${stage('values', 'value_start', 'value_batch', 'value_head', 'value_row')}
    for (var quad = 0u; quad < ${bound}; quad++) {
      var total = accumulator[quad] * correction;
      ${slots.map((slot, index) => `total += ${slot.score} * staged[${index * quads}u + quad];`).join('\n      ')}
      accumulator[quad] = total;
    }`,
    reduceSum: '',
    write: `
  if (own_query < params.queries) {
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
    writesStatistics: 'true',
  };
};

/** Declares where a workgroup stands: `queryRows` consecutive queries of one query head. Longest causal rows first. */
function rowsPlace(queryRows: number): string {
  return `
  let part = group % params.parts;
  let row_tiles = (params.queries + ${queryRows - 1}u) / ${queryRows}u;
  let row_tile = row_tiles - 1u - (group / params.parts) % row_tiles;
  let head = (group / (params.parts * row_tiles)) % params.heads;
  let batch = group / (params.parts * row_tiles * params.heads);
  let kv_head = head / params.heads_per_kv;
  let first_query = row_tile * ${queryRows}u;
  let last_query = min(first_query + ${queryRows}u, params.queries) - 1u;`;
}
