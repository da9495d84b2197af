import { defineKernel } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { entryRange, entryRow, keyPosition, lengths, loadRow, rowInterval, storageBase } from '../positions.ts';
import { sideLoad } from '../side-inputs.ts';
import { range } from '../text.ts';
import { secondPassCost } from './cost.ts';
import {
  dotProducts,
  lanes,
  launchSecondPass,
  listedColumn,
  logSumExpAt,
  logSumExps,
  type Pair,
  probability,
  queryAt,
  rowAt,
  type SecondPass,
  type SecondPassVariant,
  secondPassBindings,
  secondPassParameters,
  secondPassSource,
  seen,
} from './second-pass.ts';

const tileRows = 4;

/** One invocation per key and four of the named rows. Heads and rows are named by lists. */
const probabilityRowsKernel = defineKernel<SecondPassVariant>({
  name: 'attention.probabilityRows',
  bindings: secondPassBindings,
  parameters: secondPassParameters([
    ['tiles', 'u32'],
    ['row_tiles', 'u32'],
    ['rows', 'u32'],
    ['named_heads', 'u32'],
    ['keys_begin', 'u32'],
    ['keys_end', 'u32'],
  ]),
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const rows = range(tileRows);
    const pair = (row: number): Pair => ({
      raw: `score_${row}`,
      key: { entry: 'entry', row: 'row', position: 'position' },
      own: { query: `query_${row}`, head: 'head', suffix: `_${row}` },
    });
    const main = `
  let tile = group % params.tiles;
  let row_tile = group / params.tiles % params.row_tiles;
  let named_head = group / (params.tiles * params.row_tiles) % params.named_heads;
  let batch = group / (params.tiles * params.row_tiles * params.named_heads);
  let head = min(${sideLoad(variant, 'named_heads', 'named_head')}, params.heads - 1u);
  let kv_head = head / params.heads_per_kv;
  ${lengths(variant)}
  let first_query = 0u;
  let last_query = params.queries - 1u;
  ${entryRange(variant)}
  let part_end = end;
  let entry = tile * ${lanes}u + lane${variant.list ? '' : ' + params.keys_begin'};
  let place = ${variant.list ? listedColumn(variant, 'entry') : 'entry'};
  if (place < params.keys_begin || place >= params.keys_end) { return; }
  ${rows
    .map(
      (row) => `let row_${row} = row_tile * ${tileRows}u + ${row}u;
  let named_${row} = ${sideLoad(variant, 'named_rows', `min(row_${row}, params.rows - 1u)`)};
  let query_${row} = min(named_${row}, params.queries - 1u);${rowInterval(variant, `named_${row}`, `_${row}`)}
  var weight_${row} = 0.0;`,
    )
    .join('\n  ')}
  if (entry >= begin && entry < end) {
    ${storageBase(variant, 'key')}
    let row = ${entryRow(variant, 'entry')};
    let position = ${keyPosition(variant, 'row')};
    let key_at = key_base + ${loadRow(variant, 'row')} * params.key_row;
    ${dotProducts(
      variant,
      capabilities,
      rows.map((row) => queryAt('head', `query_${row}`)),
      ['key_at'],
    )}
    ${rows
      .map(
        (row) => `let log_sum_exp_${row} = ${logSumExpAt(variant, rowAt('head', `query_${row}`))};
    weight_${row} = ${probability(variant, pair(row), `log_sum_exp_${row}`, seen(variant, pair(row)))};`,
      )
      .join('\n    ')}
  }
  let columns = params.keys_end - params.keys_begin;
  let base = (batch * params.named_heads + named_head) * params.rows;
  ${rows.map((row) => `if (row_${row} < params.rows) { result[(base + row_${row}) * columns + place - params.keys_begin] = weight_${row}; }`).join('\n  ')}`;
    return secondPassSource(variant, main);
  },
});

export interface ProbabilityRowsOptions {
  /** f32 [B, H, N] */
  readonly logSumExp: Tensor;
  /** u32 [R] and u32 [named heads]. */
  readonly rows: Tensor;
  readonly heads: Tensor;
  readonly keys: { readonly start: number; readonly end: number };
}

/** f32 [B, named heads, R, columns] */
export function probabilityRows(pass: SecondPass, options: ProbabilityRowsOptions): Tensor {
  const { gpu, shape, variant, entries } = pass;
  const { batches } = shape;
  const { logSumExp, keys } = options;
  const [rows, heads] = [options.rows.size, options.heads.size];
  const columns = keys.end - keys.start;
  const tiles = Math.ceil((variant.list ? entries : columns) / lanes);
  const rowTiles = Math.ceil(rows / tileRows);
  return gpu.tidy(() => {
    const size = [batches, heads, rows, columns];
    const result = variant.list ? gpu.zeros(size) : gpu.empty(size);
    launchSecondPass(pass, probabilityRowsKernel, {
      variant: {},
      given: [
        logSumExps(logSumExp),
        { name: 'named_rows', type: 'u32', tensor: options.rows },
        { name: 'named_heads', type: 'u32', tensor: options.heads },
      ],
      result,
      parameters: [tiles, rowTiles, rows, heads, keys.start, keys.end],
      workgroups: batches * heads * rowTiles * tiles,
      cost: secondPassCost(shape, { heads, rows, entries: Math.min(columns, entries) }),
    });
    return result;
  });
}
