import {
  entryRange,
  entryRow,
  gathered,
  keyPosition,
  lengths,
  loadRow,
  rowInterval,
  storageBase,
} from '../positions.ts';
import { rowsPlace } from '../rows-layout.ts';
import { range } from '../text.ts';
import { type GradientVariant, type GradientWalk, streamedRows } from './variant.ts';
import { gradientAt, queryAt, rowNumbers } from './walk-text.ts';

/** Own rows are queries of one head; keys are streamed, those that the entries of attention's tile loop stand for. */
export function ownQueries(variant: GradientVariant): GradientWalk {
  const { ownRows, rowsPerLane } = variant;
  return {
    own: { first: 'query', second: 'gradient' },
    streamed: { first: 'key', second: 'value' },
    place: `${rowsPlace(ownRows, variant.queryBlocks)}
${lengths(variant)}${storageBase(variant, 'key')}${storageBase(variant, 'value')}
${entryRange(variant)}
  let part_end = select(begin, end, first_query < query_length);
  ${range(rowsPerLane)
    .map(
      (i) => `let query_${i} = min(first_query + ${rowsPerLane}u * own_lane + ${i}u, last_query);
  let query_at_${i} = ${queryAt(`query_${i}`)};
  let gradient_at_${i} = ${gradientAt(`query_${i}`)};
  ${rowInterval(variant, `query_${i}`, `_${i}`)}
  ${rowNumbers(`query_${i}`, `_${i}`)}`,
    )
    .join('\n  ')}`,
    open: `
  for (var tile = begin; tile < part_end; tile += ${streamedRows}u) {
    let count = min(${streamedRows}u, part_end - tile);`,
    close: '}',
    stream: (j, offset, row = entryRow(variant, `entry_${j}`)) => `let entry_${j} = tile + ${offset};
    let key_row_${j} = ${row};
    let position_${j} = ${keyPosition(variant, `key_row_${j}`)};
    let load_row_${j} = ${loadRow(variant, `key_row_${j}`)};
    let key_at_${j} = key_base + load_row_${j} * params.key_row;
    let value_at_${j} = value_base + load_row_${j} * params.value_row;`,
    ...(gathered(variant) ? { lookup: (offset: string) => entryRow(variant, `(tile + ${offset})`) } : {}),
    streamedAt: (kind, index) => {
      const name = kind === 'first' ? 'key' : 'value';
      return `${name}_base + ${gathered(variant) ? `tile_rows[${index}]` : `(tile + ${index})`} * params.${name}_row`;
    },
    pair: (i, j) => ({
      query: { query: `query_${i}`, head: 'head', suffix: `_${i}` },
      key: { entry: `entry_${j}`, row: `key_row_${j}`, position: `position_${j}` },
      row: `_${i}`,
    }),
    exists: (i) => `first_query + ${rowsPerLane}u * own_lane + ${i}u <= last_query`,
    resultRow: (i) => `(batch * params.heads + head) * params.queries + query_${i}`,
  };
}
