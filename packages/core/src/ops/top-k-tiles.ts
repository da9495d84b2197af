/**
 * Top-k of rows too long for one workgroup: a radix select over order keys in three digits (11, 11 and 10 bits).
 * Three histogram passes find the k-th largest key, a fourth counts per tile, a fifth writes the selected elements in
 * ascending position. Integer atomics only: their sums do not depend on the order of execution.
 */
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import {
  lowestBits,
  type OrderedDtype,
  orderArguments,
  orderKeyFunction,
  orderParameters,
} from '../kernels/order-key.ts';
import { scanPairsFunction } from '../kernels/workgroup-scan.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Elements per workgroup. */
const selectionTile = 4096;
const lanes = 256;
const bins = 2048;
const shifts = [21, 10, 0] as const;
const digitBits = [11, 11, 10] as const;
/** Per row: three histograms, then (prefix, need) before each digit and after the last. */
const rowWords = 3 * bins + 8;

interface TileVariant extends Variant {
  /** Row lengths come from a binding. */
  readonly ragged: boolean;
}

const parameters = [['n', 'u32'], ['k', 'u32'], ['limit', 'u32'], ['tiles', 'u32'], ...orderParameters] as const;

const inputs = (variant: TileVariant) => [
  { name: 'x', type: 'array<u32>', access: 'read' } as const,
  ...(variant.ragged ? [{ name: 'lengths', type: 'array<u32>', access: 'read' } as const] : []),
];

const rowStart = (variant: TileVariant) => `
  let row = group / params.tiles;
  let tile = group % params.tiles;
  let base = row * params.n;
  let length = min(params.limit, ${variant.ragged ? 'lengths[row]' : 'params.n'});
  let wanted = min(params.k, length);
  let start = min(tile * ${selectionTile}u, length);
  let end = min(start + ${selectionTile}u, length);`;

/**
 * `search(row, digit, wanted, lane)`: from the histogram of a digit, the key prefix up to and including it (x) and how
 * many elements with that prefix belong to the top (y).
 */
const searchFunction = `
var<workgroup> chunks: array<u32, 256>;
var<workgroup> chunk_groups: array<u32, 16>;
var<workgroup> found: vec2u;
fn search(row: u32, digit: u32, wanted: u32, lane: u32) -> vec2u {
  let row_base = row * ${rowWords}u;
  let base = row_base + digit * ${bins}u;
  var sum = 0u;
  for (var i = 0u; i < 8u; i++) { sum += atomicLoad(&scratch[base + lane * 8u + i]); }
  chunks[lane] = sum;
  workgroupBarrier();
  if (lane < 16u) {
    var group_sum = 0u;
    for (var i = 0u; i < 16u; i++) { group_sum += chunks[lane * 16u + i]; }
    chunk_groups[lane] = group_sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    let state = row_base + ${3 * bins}u + digit * 2u;
    let prefix = select(atomicLoad(&scratch[state]), 0u, digit == 0u);
    let need = select(atomicLoad(&scratch[state + 1u]), wanted, digit == 0u);
    var above = 0u;
    var part = 15u;
    while (part > 0u && above + chunk_groups[part] < need) { above += chunk_groups[part]; part--; }
    var chunk = part * 16u + 15u;
    while (chunk > part * 16u && above + chunks[chunk] < need) { above += chunks[chunk]; chunk--; }
    var bin = chunk * 8u + 7u;
    while (bin > chunk * 8u) {
      let count = atomicLoad(&scratch[base + bin]);
      if (above + count >= need) { break; }
      above += count;
      bin--;
    }
    found = vec2u((prefix << select(11u, 10u, digit == 2u)) | min(bin, select(2047u, 1023u, digit == 2u)), need - above);
  }
  return workgroupUniformLoad(&found);
}`;

const storeState = (digit: number) => `
  if (tile == 0u && lane == 0u) {
    atomicStore(&scratch[row * ${rowWords}u + ${3 * bins + 2 * digit}u], state.x);
    atomicStore(&scratch[row * ${rowWords}u + ${3 * bins + 2 * digit + 1}u], state.y);
  }`;

const selectionHistogram = defineKernel<TileVariant & { readonly digit: number }>({
  name: 'selectionHistogram',
  bindings: (variant) => [...inputs(variant), { name: 'scratch', type: 'array<atomic<u32>>', access: 'read_write' }],
  parameters,
  workgroupSize: () => lanes,
  source: (variant) => {
    const { digit } = variant;
    const shift = shifts[digit] as number;
    const width = digitBits[digit] as number;
    return {
      declarations: `${orderKeyFunction}${digit > 0 ? searchFunction : ''}
var<workgroup> counts: array<atomic<u32>, ${bins}>;`,
      main: `${rowStart(variant)}
  ${digit > 0 ? `let state = search(row, ${digit - 1}u, wanted, lane);${storeState(digit)}` : ''}
  // Workgroup memory starts as zeros.
  for (var at = start + lane; at < end; at += ${lanes}u) {
    let key = order_key(x[base + at]);
    ${digit > 0 ? `if ((key >> ${shift + width}u) == state.x)` : ''} { atomicAdd(&counts[(key >> ${shift}u) & ${2 ** width - 1}u], 1u); }
  }
  workgroupBarrier();
  for (var bin = lane; bin < ${bins}u; bin += ${lanes}u) {
    let count = atomicLoad(&counts[bin]);
    if (count > 0u) { atomicAdd(&scratch[row * ${rowWords}u + ${digit * bins}u + bin], count); }
  }`,
    };
  },
});

const selectionCount = defineKernel<TileVariant>({
  name: 'selectionCount',
  bindings: (variant) => [
    ...inputs(variant),
    { name: 'scratch', type: 'array<atomic<u32>>', access: 'read_write' },
    { name: 'tile_counts', type: 'array<vec2u>', access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => lanes,
  source: (variant) => ({
    declarations: `${orderKeyFunction}${searchFunction}
var<workgroup> larger: atomic<u32>;
var<workgroup> equal: atomic<u32>;`,
    main: `${rowStart(variant)}
  let state = search(row, 2u, wanted, lane);${storeState(3)}
  var own = vec2u(0u);
  for (var at = start + lane; at < end; at += ${lanes}u) {
    let key = order_key(x[base + at]);
    own += vec2u(u32(key > state.x), u32(key == state.x));
  }
  if (own.x > 0u) { atomicAdd(&larger, own.x); }
  if (own.y > 0u) { atomicAdd(&equal, own.y); }
  workgroupBarrier();
  if (lane == 0u) { tile_counts[group] = vec2u(atomicLoad(&larger), atomicLoad(&equal)); }`,
  }),
});

const selectionScatter = defineKernel<TileVariant>({
  name: 'selectionScatter',
  bindings: (variant) => [
    ...inputs(variant),
    { name: 'scratch', type: 'array<u32>', access: 'read' },
    { name: 'tile_counts', type: 'array<vec2u>', access: 'read' },
    { name: 'values', type: 'array<u32>', access: 'read_write' },
    { name: 'indices', type: 'array<u32>', access: 'read_write' },
    { name: 'counts', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [...parameters, ['padding', 'u32']],
  workgroupSize: () => lanes,
  source: (variant) => ({
    declarations: `${orderKeyFunction}${scanPairsFunction(lanes)}
var<workgroup> larger_before: atomic<u32>;
var<workgroup> equal_before: atomic<u32>;`,
    main: `${rowStart(variant)}
  let threshold = scratch[row * ${rowWords}u + ${3 * bins + 6}u];
  let need = scratch[row * ${rowWords}u + ${3 * bins + 7}u];
  for (var other = lane; other < tile; other += ${lanes}u) {
    let counted = tile_counts[row * params.tiles + other];
    atomicAdd(&larger_before, counted.x);
    atomicAdd(&equal_before, counted.y);
  }
  let share = ${selectionTile / lanes}u;
  let own_start = min(start + lane * share, end);
  let own_end = min(own_start + share, end);
  var own = vec2u(0u);
  for (var at = own_start; at < own_end; at++) {
    let key = order_key(x[base + at]);
    own += vec2u(u32(key > threshold), u32(key == threshold));
  }
  var before = scan_pairs(lane, own) + vec2u(atomicLoad(&larger_before), atomicLoad(&equal_before));
  for (var at = own_start; at < own_end; at++) {
    let bits = x[base + at];
    let key = order_key(bits);
    if (key > threshold || (key == threshold && before.y < need)) {
      let place = row * params.k + before.x + min(before.y, need);
      values[place] = bits;
      indices[place] = at;
    }
    before += vec2u(u32(key > threshold), u32(key == threshold));
  }
  for (var at = max(tile * ${selectionTile}u, wanted) + lane; at < min((tile + 1u) * ${selectionTile}u, params.k); at += ${lanes}u) {
    values[row * params.k + at] = params.padding;
    indices[row * params.k + at] = 0xffffffffu;
  }
  if (tile == 0u && lane == 0u) { counts[row] = wanted; }`,
  }),
});

/** What {@link selectTiled} selects from and writes to. */
export interface TiledSelection {
  /** Contiguous [rows, n]. */
  readonly x: Tensor;
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  /** u32 per row, or an upper bound for all rows. */
  readonly lengths: Tensor | number;
  /** [rows, k] */
  readonly values: Tensor;
  /** [rows, k] */
  readonly indices: Tensor;
  /** u32 per row: how many elements were written. */
  readonly counts: Tensor;
}

/** Records the five dispatches: min(k, length) elements per row in ascending position, equal ones by lower index, then padding. */
export function selectTiled(selection: TiledSelection): void {
  const { x, rows, n, k, lengths, values, indices, counts } = selection;
  const { gpu } = x;
  const tiles = Math.ceil(n / selectionTile);
  const lengthTensors = typeof lengths === 'number' ? [] : [lengths];
  const dtype = x.dtype as OrderedDtype;
  const variant = { ragged: lengthTensors.length > 0 };
  const sizes = [n, k, typeof lengths === 'number' ? lengths : n, tiles, ...orderArguments(dtype)];
  const workgroups = rows * tiles;
  const cost = { flops: 2 * x.size, bytes: 4 * x.size };
  const scratch = gpu.zeros([rows, rowWords], 'u32');
  const tileCounts = gpu.empty([rows, tiles, 2], 'u32');
  for (const digit of [0, 1, 2]) {
    const bindings = [x, ...lengthTensors, scratch];
    gpu.launch(selectionHistogram, { ...variant, digit }, { bindings, parameters: sizes, workgroups, cost });
  }
  gpu.launch(selectionCount, variant, {
    bindings: [x, ...lengthTensors, scratch, tileCounts],
    parameters: sizes,
    workgroups,
    cost,
  });
  gpu.launch(selectionScatter, variant, {
    bindings: [x, ...lengthTensors, scratch, tileCounts, values, indices, counts],
    parameters: [...sizes, lowestBits(dtype)],
    workgroups,
    cost: { flops: 4 * x.size, bytes: 8 * x.size + 8 * rows * k },
  });
  scratch.dispose();
  tileCounts.dispose();
}
