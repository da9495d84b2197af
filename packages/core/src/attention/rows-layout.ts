import { inputAccess, quadOfRow } from './elements.ts';
import type { LayoutBuilder, ScoreSlot } from './layout.ts';
import { entryPosition, loadPosition } from './positions.ts';
import { range } from './text.ts';

export const stagedRowsPerWorkgroup = 64;
export const subgroupRowsPerWorkgroup = 16;

/** Key rows of a tile in workgroup memory: at most 8 KiB, so that two workgroups fit into WebGPU's least. */
export function stagedTile(headSize: number, software: boolean): number {
  return Math.max(4, Math.min(software ? 8 : 32, Math.floor(512 / Math.ceil(headSize / 4))));
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

/**
 * Eight invocations, one subgroup (the vector width of software adapters), two query rows each. Keys and values are
 * loaded once, contiguously over the invocations, and handed round by subgroup shuffles. No barrier.
 */
export const subgroupRows: LayoutBuilder = (variant, capabilities) => {
  const { headSize } = variant;
  const tile = 8;
  const pass = 4;
  const width = variant.vector && headSize % 32 === 0 ? 4 : 1;
  const chunk = 8 * width;
  const query = inputAccess('query', variant.queryDtype, false, capabilities);
  const rows = range(2);
  const load = (name: 'keys' | 'values', index: string, offset: string, rowStride: string) => {
    const input = inputAccess(name, variant.keyDtype, variant.vector, capabilities);
    const at = `${offset} + ${index} * params.${rowStride} + at`;
    return width === 4 ? input.load4(at) : input.load(at);
  };
  const element = (name: string, d: number) =>
    width === 4 ? `subgroupShuffle(${name}[${d % 4}], ${d >> 2}u)` : `subgroupShuffle(${name}, ${d}u)`;
  const slots = (row: number): ScoreSlot[] =>
    range(tile).map((index) => ({
      score: `score_${row}_${index}`,
      entry: `(tile + ${index}u)`,
      position: `position_${index}`,
    }));
  const scorePass = (first: number) => `
    for (var d = 0u; d < params.head_size; d += ${chunk}u) {
      let at = d + ${width}u * subgroup_lane;
      ${range(pass)
        .map((index) => `let key_${index} = ${load('keys', `load_${first + index}`, 'key_base', 'key_row')};`)
        .join('\n      ')}
      ${range(chunk)
        .map(
          (d) => `{
        ${rows.map((row) => `let factor_${row} = query_row_${row}[d + ${d}u];`).join(' ')}
        ${range(pass)
          .map(
            (index) =>
              `{ let element = ${element(`key_${index}`, d)}; ${rows
                .map((row) => `score_${row}_${first + index} += factor_${row} * element;`)
                .join(' ')} }`,
          )
          .join('\n        ')}
      }`,
        )
        .join('\n      ')}
    }`;
  const valuePass = (first: number) => `
    for (var d = 0u; d < params.head_size; d += ${chunk}u) {
      let at = d + ${width}u * subgroup_lane;
      ${range(pass)
        .map((index) => `let value_${index} = ${load('values', `load_${first + index}`, 'value_base', 'value_row')};`)
        .join('\n      ')}
      ${range(chunk)
        .map(
          (d) => `{
        ${rows.map((row) => `var total_${row} = accumulator_${row}[d + ${d}u]${first === 0 ? ` * correction_${row}` : ''};`).join(' ')}
        ${range(pass)
          .map(
            (index) =>
              `{ let element = ${element(`value_${index}`, d)}; ${rows
                .map((row) => `total_${row} += score_${row}_${first + index} * element;`)
                .join(' ')} }`,
          )
          .join('\n        ')}
        ${rows.map((row) => `accumulator_${row}[d + ${d}u] = total_${row};`).join(' ')}
      }`,
        )
        .join('\n      ')}
    }`;
  return {
    workgroupSize: 8,
    tile,
    declarations: '',
    place: `${rowsPlace(subgroupRowsPerWorkgroup)}
  let key_base = params.key_start + batch * params.key_batch + kv_head * params.key_head;
  let value_base = params.value_start + batch * params.value_batch + kv_head * params.value_head;
  let own_query_0 = first_query + subgroup_lane;
  let own_query_1 = own_query_0 + 8u;`,
    rows: rows.map((row) => ({
      suffix: `_${row}`,
      query: `own_query_${row}`,
      head: 'head',
      exists: `own_query_${row} < params.queries`,
      slots: slots(row),
    })),
    prepare: rows
      .map(
        (row) => `
  var query_row_${row}: array<f32, ${headSize}>;
  var accumulator_${row}: array<f32, ${headSize}>;
  {
    let at = params.query_start + batch * params.query_batch + head * params.query_head + min(own_query_${row}, last_query) * params.query_row;
    for (var d = 0u; d < params.head_size; d++) { query_row_${row}[d] = ${query.load('at + d')}; }
  }`,
      )
      .join(''),
    scores: `
    ${range(tile)
      .map(
        (index) => `let position_${index} = ${entryPosition(variant, `tile + ${index}u`)};
    let load_${index} = ${loadPosition(variant, `position_${index}`)};
    ${rows.map((row) => `var score_${row}_${index} = 0.0;`).join(' ')}`,
      )
      .join('\n    ')}
    ${range(tile / pass)
      .map((index) => scorePass(index * pass))
      .join('')}`,
    reduceMaximum: '',
    accumulate: range(tile / pass)
      .map((index) => valuePass(index * pass))
      .join(''),
    reduceSum: '',
    write: rows
      .map(
        (row) => `
  if (own_query_${row} < params.queries) {
    for (var d = 0u; d < params.head_size; d++) { output[output_row_${row} + d] = accumulator_${row}[d] * inverse_${row}; }
  }`,
      )
      .join(''),
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
