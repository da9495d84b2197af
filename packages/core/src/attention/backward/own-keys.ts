import { entryRange, keyPosition, lengths, rowInterval, storageBase } from '../positions.ts';
import { range } from '../text.ts';
import { type GradientVariant, type GradientWalk, streamedRows } from './variant.ts';
import { gradientAt, queryAt, rowNumbers } from './walk-text.ts';

/**
 * Own rows are stored key rows of one key/value head; the queries of all heads of its group are streamed, so that the sum over
 * the group needs no second pass. Tiles of queries that see none of the rows are passed over.
 */
export function ownKeys(variant: GradientVariant): GradientWalk {
  const { ownRows, rowsPerLane } = variant;
  return {
    own: { first: 'key', second: 'value' },
    streamed: { first: 'query', second: 'gradient' },
    place: `
  let row_tile = group % params.row_tiles;
  let kv_heads = params.heads / params.heads_per_kv;
  let kv_head = group / params.row_tiles % kv_heads;
  let batch = group / (params.row_tiles * kv_heads);
${lengths(variant)}${storageBase(variant, 'key')}${storageBase(variant, 'value')}
  let first_row = row_tile * ${ownRows}u;
  let last_row = min(first_row + ${ownRows}u, params.key_capacity) - 1u;
  let part_end = key_length;
  ${range(rowsPerLane)
    .map(
      (i) => `let entry_${i} = first_row + ${rowsPerLane}u * own_lane + ${i}u;
  let key_row_${i} = min(entry_${i}, last_row);
  let position_${i} = ${keyPosition(variant, `key_row_${i}`)};
  let key_at_${i} = key_base + key_row_${i} * params.key_row;
  let value_at_${i} = value_base + key_row_${i} * params.value_row;`,
    )
    .join('\n  ')}`,
    open: `
  let walk_end = select(0u, query_length, first_row < key_length);
  for (var head = kv_head * params.heads_per_kv; head < (kv_head + 1u) * params.heads_per_kv; head++) {
  for (var tile = 0u; tile < walk_end; tile += ${streamedRows}u) {
    let count = min(${streamedRows}u, walk_end - tile);${skip(variant)}`,
    close: '}\n  }',
    stream: (j, offset) => `let walk_${j} = tile + ${offset};
    let query_${j} = min(walk_${j}, walk_end - 1u);
    let query_at_${j} = ${queryAt(`query_${j}`)};
    let gradient_at_${j} = ${gradientAt(`query_${j}`)};
    ${rowInterval(variant, `walk_${j}`, `_${j}`)}
    ${rowNumbers(`query_${j}`, `_${j}`)}`,
    streamedAt: (kind, index) => {
      const at = `(tile + ${index})`;
      return kind === 'first' ? queryAt(at) : gradientAt(at);
    },
    pair: (i, j) => ({
      query: { query: `query_${j}`, head: 'head', suffix: `_${j}` },
      key: { entry: `entry_${i}`, row: `key_row_${i}`, position: `position_${i}` },
      row: `_${j}`,
    }),
    exists: (i) => `entry_${i} <= last_row`,
    resultRow: (i) => `(batch * kv_heads + kv_head) * params.key_capacity + key_row_${i}`,
  };
}

/** Goes on with the next tile where no query of this one sees a row of the workgroup, as far as bounds and lists tell. */
function skip(variant: GradientVariant): string {
  const { causal, window, keyPositions, ranged, rangeBegin, rangeEnd, listedTile } = variant;
  const tile = `let first_query = tile;
      let last_query = tile + count - 1u;`;
  const sections: string[] = [];
  if ((causal || window) && !keyPositions) {
    sections.push(`${tile}
      ${entryRange({ ...variant, rangeBegin: '', rangeEnd: '' })}
      if (first_row >= end || last_row < begin) { continue; }`);
  }
  const bounded = rangeBegin !== '' || rangeEnd !== '';
  if (listedTile || bounded) {
    const inRange = !ranged ? 'false' : bounded ? '(first_row < end && last_row >= begin)' : 'true';
    sections.push(`${tile}
      ${ranged && bounded ? entryRange(variant) : ''}
      if (!(${[inRange, ...(listedTile ? [listedTile] : [])].join(' | ')})) { continue; }`);
  }
  return sections.map((section) => `\n    {\n      ${section}\n    }`).join('');
}
