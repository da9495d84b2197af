import { butterflySums } from './butterfly.ts';
import { inputAccess, quadOfRow, type RowDtype } from './elements.ts';
import type { LayoutBuilder, RowState, TileLoopVariant } from './layout.ts';
import { isWritten, queryRow } from './order.ts';
import { entryRow, keyPosition, loadRow, lookedUp } from './positions.ts';
import { range } from './text.ts';

/**
 * Where a workgroup of `sharedRows` rows stands. Its rows are the queries of the `shared_heads` query heads that
 * look at the same keys: all heads of a key/value group, or one head where lists are kept per query head; and the queries
 * of one query block where lists differ between those.
 */
export function sharedPlace({ sharedRows, queryBlocks }: TileLoopVariant): string {
  const tiles = (rows: string) => `(${rows} + ${sharedRows - 1}u) / ${sharedRows}u`;
  const rowTiles = queryBlocks
    ? `let block_rows = params.query_block * params.shared_heads;
  let block_tiles = ${tiles('block_rows')};
  let row_tiles = (params.queries + params.query_block - 1u) / params.query_block * block_tiles;`
    : `let row_tiles = ${tiles('rows_here')};`;
  const firstRow = queryBlocks
    ? `let first_in_block = row_tile / block_tiles * block_rows;
  let first_row = first_in_block + row_tile % block_tiles * ${sharedRows}u;`
    : `let first_row = row_tile * ${sharedRows}u;`;
  const bound = queryBlocks ? 'min(first_in_block + block_rows, rows_here)' : 'rows_here';
  return `
  let part = group % params.parts;
  let rows_here = params.queries * params.shared_heads;
  ${rowTiles}
  let row_tile = row_tiles - 1u - (group / params.parts) % row_tiles;
  let head_groups = params.heads / params.shared_heads;
  let head = (group / (params.parts * row_tiles)) % head_groups * params.shared_heads;
  let batch = group / (params.parts * row_tiles * head_groups);
  let kv_head = head / params.heads_per_kv;
  ${firstRow}
  let last_row = min(first_row + ${sharedRows}u, ${bound}) - 1u;
  let first_query = first_row / params.shared_heads;
  let last_query = last_row / params.shared_heads;`;
}

/** As {@link sharedPlace}, with the variables of each row, which all invocations work on. */
function workgroupPlace(variant: TileLoopVariant): string {
  return `${sharedPlace(variant)}
  ${range(variant.sharedRows)
    .map(
      (row) => `let row_${row} = min(first_row + ${row}u, last_row);
  let query_${row} = row_${row} / params.shared_heads;
  let head_${row} = head + row_${row} % params.shared_heads;
  let query_at_${row} = params.query_start + batch * params.query_batch + head_${row} * params.query_head + ${queryRow(variant, `query_${row}`)} * params.query_row;`,
    )
    .join('\n  ')}`;
}

function rowStates(variant: TileLoopVariant, slots: (row: number) => RowState['slots']): RowState[] {
  return range(variant.sharedRows).map((row) => ({
    suffix: `_${row}`,
    query: `query_${row}`,
    head: `head_${row}`,
    exists: `first_row + ${row}u <= last_row`,
    slots: slots(row),
  }));
}

/**
 * Eight invocations, one subgroup: the vector width of software adapters. They stand along the head dimension, so that
 * loads of a key row are contiguous. A tile is eight keys, taken in packs of 8 / R (R rows, rounded up to a power of two):
 * the eight partial dot products of a pack are summed by a transposing butterfly, after which invocation i holds the score
 * of key floor(i / R) and row i mod R, and one exponential serves all eight. No barrier, no workgroup memory.
 */
export const subgroupFeatures: LayoutBuilder = (variant, capabilities) => {
  const { headSize, sharedRows } = variant;
  // An invocation holds every eighth quad (or element) of a row; those past the head size have query zero.
  const width = variant.vector ? 4 : 1;
  const units = headSize / width;
  const cells = range(Math.ceil(units / 8));
  // Wide heads take fewer keys at once: the text grows with keys times cells, and compiles for ten seconds when large.
  const mostKeys = Math.max(1, Math.floor(4 / cells.length));
  const stride =
    sharedRows === 1 ? 1 : Math.max(2 ** Math.ceil(Math.log2(sharedRows)), 8 / 2 ** Math.floor(Math.log2(mostKeys)));
  const packKeys = 8 / stride;
  const packs = range(stride);
  const rows = range(sharedRows);
  const type = width === 4 ? 'vec4f' : 'f32';
  const load = (name: string, dtype: RowDtype, vector: boolean) => {
    const input = inputAccess(name, dtype, vector, capabilities);
    return width === 4 ? input.load4 : input.load;
  };
  const query = load('query', variant.queryDtype, false);
  const key = load('keys', variant.keyDtype, variant.vector);
  const value = load('values', variant.keyDtype, variant.vector);
  // Rows of a list stand anywhere: one after the other, each would cost a trip to memory. One load per cache line over the
  // eight rows of the tile at once brings them near.
  const lineElements = variant.keyDtype === 'f32' ? 16 : 32;
  const touch = (name: 'key' | 'value') => {
    const load = name === 'key' ? key : value;
    const element = load(`${name}_base + load_row * params.${name}_row + ${lineElements}u * line`);
    return `touched = max(touched, ${element}${width === 4 ? '.x' : ''});`;
  };
  const touches = `for (var line = 0u; line * ${lineElements}u < params.head_size; line++) {
      ${touch('key')}
      ${touch('value')}
    }`;
  const place = (row: number, cell: number) => row * cells.length + cell;
  const overCells = (body: (cell: number, unit: string) => string) =>
    cells.map((cell) => `{ ${body(cell, `unit_${cell}`)} }`).join('\n        ');
  const hasUnit = (cell: number) => `${8 * cell}u + subgroup_lane < ${units}u`;
  /** Row to load for a key of the tile; `index` is WGSL. */
  const loadedRow = (index: string) =>
    lookedUp(variant) ? `subgroupShuffle(load_row, ${index})` : `min(tile + ${index}, part_end - 1u)`;
  const product = width === 4 ? (a: string, b: string) => `dot(${a}, ${b})` : (a: string, b: string) => `${a} * ${b}`;
  const dots = (index: string, name: (row: number) => string) => `
      {
        let at = key_base + ${loadedRow(index)} * params.key_row;
        ${overCells(
          (cell, unit) => `let key_unit = ${key(`at + ${unit}`)};
          ${rows.map((row) => `${name(row)} += ${product(`query_row[${place(row, cell)}]`, 'key_unit')};`).join('\n          ')}`,
        )}
      }`;
  const overDistances = (distances: readonly number[], name: string, combine: (a: string, b: string) => string) =>
    distances
      .map((distance) => `${name} = ${combine(name, `subgroupShuffleXor(${name}, ${distance}u)`)};`)
      .join('\n    ');
  // The bounds of these loops are parameters: unrolled, they compile ten times longer and run slower.
  const scorePacks =
    stride === 1
      ? `
    for (var index = 0u; index < params.tile_keys; index++) {
      var partial = 0.0;
      ${dots('index', () => 'partial')}
      ${overDistances([4, 2, 1], 'partial', (a, b) => `${a} + ${b}`)}
      scores[0] = select(scores[0], partial, subgroup_lane == index);
    }`
      : `
    for (var pack = 0u; pack * ${packKeys}u < params.tile_keys; pack++) {
      ${range(8)
        .map((index) => `var partial_${index} = 0.0;`)
        .join(' ')}
      ${range(packKeys)
        .map((index) => dots(`(pack * ${packKeys}u + ${index}u)`, (row) => `partial_${index * stride + row}`))
        .join('')}
      ${butterflySums('partial')}
      scores[pack] = partial_0;
    }`;
  const weighted = `
    for (var index = 0u; index < params.tile_keys; index++) {
      let at = value_base + ${loadedRow('index')} * params.value_row;
      let packed = scores[index / ${packKeys}u];
      ${rows.map((row) => `let weight_${row} = subgroupShuffle(packed, index % ${packKeys}u * ${stride}u + ${row}u);`).join('\n      ')}
      ${overCells(
        (cell, unit) => `let value_unit = ${value(`at + ${unit}`)};
        ${rows.map((row) => `total[${place(row, cell)}] += weight_${row} * value_unit;`).join('\n        ')}`,
      )}
    }`;
  /** A number of each lane's key, handed to the lanes that hold the key's scores. */
  const ofPacks = (name: 'key_row' | 'position') =>
    packs
      .map((pack) => {
        const own = stride === 1 ? `lane_${name}` : `subgroupShuffle(lane_${name}, ${pack * packKeys}u + own_key)`;
        return `let ${name}_${pack} = ${own};`;
      })
      .join('\n    ');
  const overKeys = [4, 2, 1].filter((distance) => distance >= stride);
  const store = (row: number, cell: number, unit: string) => {
    const target = `at_${row} + ${unit}`;
    const result = `total[${place(row, cell)}] * inverse_${row}`;
    const stores =
      width === 1
        ? `output[${target}] = ${result};`
        : `let result = ${result}; ${range(4)
            .map((d) => `output[${target} + ${d}u] = result[${d}];`)
            .join(' ')}`;
    return `if (${hasUnit(cell)}) { ${stores} }`;
  };
  return {
    workgroupSize: 8,
    tile: 8,
    declarations: '',
    place: `${workgroupPlace(variant)}
  let own_row = first_row + (subgroup_lane & ${stride - 1}u);
  let own_query = min(own_row, last_row) / params.shared_heads;
  let own_head = head + min(own_row, last_row) % params.shared_heads;
  let own_key = subgroup_lane / ${stride}u;`,
    rows: [
      {
        suffix: '',
        query: 'own_query',
        head: 'own_head',
        exists: `(subgroup_lane & ${stride - 1}u) < ${sharedRows}u && own_row <= last_row`,
        slots: packs.map((pack) => ({
          score: `scores[${pack}]`,
          entry: `(tile + ${pack * packKeys}u + own_key)`,
          row: `key_row_${pack}`,
          position: variant.keyPositions ? `position_${pack}` : `key_row_${pack}`,
        })),
      },
    ],
    prepare: `
  ${variant.list ? 'var touched = 0.0;' : ''}
  var scores: array<f32, ${stride}>;
  var query_row: array<${type}, ${sharedRows * cells.length}>;
  var total: array<${type}, ${sharedRows * cells.length}>;
  ${cells.map((cell) => `let unit_${cell} = ${width}u * min(${8 * cell}u + subgroup_lane, ${units - 1}u);`).join('\n  ')}
  ${overCells((cell, unit) =>
    rows
      .map((row) => {
        const loaded = query(`query_at_${row} + ${unit}`);
        return `query_row[${place(row, cell)}] = select(${type}(), ${loaded}, ${hasUnit(cell)});`;
      })
      .join('\n        '),
  )}`,
    scores: `
    let lane_key_row = ${entryRow(variant, 'tile + subgroup_lane')};
    ${lookedUp(variant) ? `let load_row = ${loadRow(variant, 'lane_key_row')};` : ''}
    ${variant.list ? touches : ''}
    ${ofPacks('key_row')}
    ${variant.keyPositions ? `let lane_position = ${keyPosition(variant, 'lane_key_row')};\n    ${ofPacks('position')}` : ''}
    ${scorePacks}`,
    reduceMaximum: overDistances(overKeys, 'tile_maximum', (a, b) => `max(${a}, ${b})`),
    accumulate: `
    ${rows.map((row) => `let correction_${row} = subgroupShuffle(correction, ${row}u);`).join('\n    ')}
    if (subgroupAny(correction != 1.0)) {
      ${overCells((cell) => rows.map((row) => `total[${place(row, cell)}] *= correction_${row};`).join(' '))}
    }
    ${weighted}`,
    // The zero is a parameter, so that no compiler drops the loads.
    reduceSum: `${variant.list ? 'sum += touched * params.zero;\n  ' : ''}${overDistances(overKeys, 'sum', (a, b) => `${a} + ${b}`)}`,
    write: rows
      .map(
        (row) => `
  let at_${row} = subgroupShuffle(output_row, ${row}u);
  let inverse_${row} = subgroupShuffle(inverse, ${row}u);
  if (${isWritten(variant, `first_row + ${row}u <= last_row`, `at_${row}`)}) {
    ${overCells((cell, unit) => store(row, cell, unit))}
  }`,
      )
      .join(''),
    leads: `subgroup_lane < ${stride}u`,
  };
};

/**
 * 64 invocations that need no optional feature: each scores one key of a tile of 64, whose rows pass through workgroup
 * memory in slices of 32 elements; then each owns elements of the head dimension and walks over the tile's values, which
 * are loaded contiguously. Invariant: loop bounds are the same for all invocations, so that the barriers are uniform.
 */
export const stagedFeatures: LayoutBuilder = (variant, capabilities) => {
  const { headSize, sharedRows: rowCount } = variant;
  const size = 64;
  const sliceQuads = 8;
  // One quad of padding per row spreads the rows over memory banks.
  const pitch = sliceQuads + 1;
  const quads = Math.ceil(headSize / 4);
  const paddedQuads = Math.ceil(quads / sliceQuads) * sliceQuads;
  const perInvocation = Math.ceil(headSize / size);
  const query = inputAccess('query', variant.queryDtype, false, capabilities);
  const key = inputAccess('keys', variant.keyDtype, variant.vector, capabilities);
  const value = inputAccess('values', variant.keyDtype, variant.vector, capabilities);
  const rows = range(rowCount);
  const cells = range(perInvocation);
  // Software adapters compile for many seconds when these loops are unrolled: there their bounds are parameters.
  const sliceBound = capabilities.software ? 'params.tile_keys' : `${sliceQuads}u`;
  const firstStep = capabilities.software ? `params.tile_keys * ${size / 16}u` : `${size / 2}u`;
  const tree = (names: (row: number) => string, combine: (a: string, b: string) => string) => `
    ${rows.map((row) => `exchange[${row * size}u + lane] = ${names(row)};`).join(' ')}
    workgroupBarrier();
    for (var step = ${firstStep}; step > 0u; step >>= 1u) {
      if (lane < step) {
        ${rows
          .map((row) => {
            const own = `exchange[${row * size}u + lane]`;
            return `${own} = ${combine(own, `exchange[${row * size}u + lane + step]`)};`;
          })
          .join('\n        ')}
      }
      workgroupBarrier();
    }
    ${rows.map((row) => `${names(row)} = exchange[${row * size}u];`).join(' ')}
    workgroupBarrier();`;
  return {
    workgroupSize: size,
    tile: size,
    declarations: `
var<workgroup> staged: array<vec4f, ${size * pitch}>;
var<workgroup> queries: array<vec4f, ${rowCount * paddedQuads}>;
var<workgroup> exchange: array<f32, ${rowCount * size}>;
var<workgroup> load_rows: array<u32, ${size}>;`,
    place: workgroupPlace(variant),
    rows: rowStates(variant, (row) => [
      {
        score: `score_${row}`,
        entry: '(tile + lane)',
        row: 'own_key_row',
        position: variant.keyPositions ? 'own_position' : 'own_key_row',
      },
    ]),
    prepare: `
  for (var quad = lane; quad < ${paddedQuads}u; quad += ${size}u) {
    ${rows
      .map(
        (row) =>
          `queries[${row * paddedQuads}u + quad] = select(vec4f(), ${quadOfRow(query, headSize, `(query_at_${row} + 4u * min(quad, ${quads - 1}u))`, 'quad')}, quad < ${quads}u);`,
      )
      .join('\n    ')}
  }
  ${rows.map((row) => cells.map((cell) => `var total_${row}_${cell} = 0.0;`).join(' ')).join('\n  ')}`,
    scores: `
    let own_key_row = ${entryRow(variant, 'tile + lane')};
    ${variant.keyPositions ? `let own_position = ${keyPosition(variant, 'own_key_row')};` : ''}
    workgroupBarrier();
    load_rows[lane] = ${loadRow(variant, 'own_key_row')};
    ${rows.map((row) => `var score_${row} = 0.0;`).join(' ')}
    for (var slice = 0u; slice < params.quads; slice += ${sliceQuads}u) {
      workgroupBarrier();
      for (var index = lane; index < ${size * sliceQuads}u; index += ${size}u) {
        let row = index / ${sliceQuads}u;
        let quad = slice + index % ${sliceQuads}u;
        let at = key_base + load_rows[row] * params.key_row + 4u * min(quad, ${quads - 1}u);
        staged[row * ${pitch}u + index % ${sliceQuads}u] = select(vec4f(), ${quadOfRow(key, headSize, 'at', 'quad')}, quad < ${quads}u);
      }
      workgroupBarrier();
      for (var quad = 0u; quad < ${sliceBound}; quad++) {
        let key_quad = staged[lane * ${pitch}u + quad];
        ${rows.map((row) => `score_${row} += dot(queries[${row * paddedQuads}u + slice + quad], key_quad);`).join('\n        ')}
      }
    }`,
    reduceMaximum: tree(
      (row) => `tile_maximum_${row}`,
      (a, b) => `max(${a}, ${b})`,
    ),
    accumulate: `
    ${rows.map((row) => `exchange[${row * size}u + lane] = score_${row};`).join(' ')}
    ${rows.map((row) => cells.map((cell) => `total_${row}_${cell} *= correction_${row};`).join(' ')).join('\n    ')}
    workgroupBarrier();
    for (var index = 0u; index < min(${size}u, part_end - tile); index++) {
      let at = value_base + load_rows[index] * params.value_row;
      ${cells
        .map((cell) => {
          const element = value.load(`at + min(${cell * size}u + lane, ${headSize - 1}u)`);
          return `let element_${cell} = ${element};
      ${rows.map((row) => `total_${row}_${cell} += exchange[${row * size}u + index] * element_${cell};`).join(' ')}`;
        })
        .join('\n      ')}
    }`,
    reduceSum: `workgroupBarrier();${tree(
      (row) => `sum_${row}`,
      (a, b) => `${a} + ${b}`,
    )}`,
    write: rows
      .map(
        (row) => `
  if (${isWritten(variant, `first_row + ${row}u <= last_row`, `output_row_${row}`)}) {
    ${cells
      .map((cell) => {
        const store = `output[output_row_${row} + ${cell * size}u + lane] = total_${row}_${cell} * inverse_${row};`;
        return (cell + 1) * size <= headSize ? store : `if (${cell * size}u + lane < ${headSize}u) { ${store} }`;
      })
      .join('\n    ')}
  }`,
      )
      .join(''),
    leads: 'lane == 0u',
  };
};
