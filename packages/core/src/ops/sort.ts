import type { Gpu } from '../device/gpu.ts';
import { ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { type OrderedDtype, orderArguments, orderKeyFunction, orderParameters } from '../kernels/order-key.ts';
import { workgroupSortFunction } from '../kernels/workgroup-sort.ts';
import { elementCount } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

/** Elements that one workgroup sorts in its own memory: 8 KiB of keys and positions. */
export const sortBlock = 1024;
const lanes = 256;
const mergedPerLane = 8;

interface PassVariant extends Variant {
  /** Indices come from a binding instead of being positions. */
  readonly carried: boolean;
  /** Rows hold fewer than n elements; a binding says how many, the rest stays where it is. */
  readonly ragged: boolean;
  /** The last pass writes values and indices, the others keys and positions. */
  readonly last: boolean;
}

const sourceBindings = (variant: PassVariant) => [
  { name: 'x', type: 'array<u32>', access: 'read' } as const,
  ...(variant.carried ? [{ name: 'carried', type: 'array<u32>', access: 'read' } as const] : []),
  ...(variant.ragged ? [{ name: 'counts', type: 'array<u32>', access: 'read' } as const] : []),
];

const pairOutputs = [
  { name: 'first_out', type: 'array<u32>', access: 'read_write' },
  { name: 'second_out', type: 'array<u32>', access: 'read_write' },
] as const;

/** `emit(base, at, key, position)` writes one sorted element of a row that starts at `base`. */
const emitFunction = (variant: PassVariant) => `
fn emit(base: u32, at: u32, key: u32, position: u32) {
  ${
    variant.last
      ? `first_out[base + at] = x[base + position];
  second_out[base + at] = ${variant.carried ? 'carried[base + position]' : 'position'};`
      : `first_out[base + at] = key;
  second_out[base + at] = position;`
  }
}`;

/** One workgroup sorts one block of 1024 elements of one row. */
const sortBlocks = defineKernel<PassVariant>({
  name: 'sortBlocks',
  bindings: (variant) => [...sourceBindings(variant), ...pairOutputs],
  parameters: [['n', 'u32'], ['blocks', 'u32'], ...orderParameters],
  workgroupSize: () => lanes,
  source: (variant) => ({
    declarations: orderKeyFunction + workgroupSortFunction(sortBlock, lanes) + emitFunction(variant),
    main: `
  let row = group / params.blocks;
  let start = (group % params.blocks) * ${sortBlock}u;
  let base = row * params.n;
  let row_count = ${variant.ragged ? 'min(counts[row], params.n)' : 'params.n'};
  let count = min(max(row_count, start) - start, ${sortBlock}u);
  for (var at = lane; at < count; at += ${lanes}u) {
    sort_keys[at] = order_key(x[base + start + at]);
    sort_items[at] = start + at;
  }
  workgroupBarrier();
  sort_block(lane, count);
  for (var at = lane; at < count; at += ${lanes}u) { emit(base, start + at, sort_keys[at], sort_items[at]); }
  for (var at = start + count + lane; at < min(start + ${sortBlock}u, params.n); at += ${lanes}u) { emit(base, at, 0u, at); }`,
  }),
});

/**
 * Merges neighbouring sorted runs of `width` elements. Each invocation finds where its 8 consecutive outputs start in
 * both runs (merge path: a binary search along the diagonal) and merges from there.
 */
const sortMerge = defineKernel<PassVariant>({
  name: 'sortMerge',
  bindings: (variant) => [
    { name: 'keys', type: 'array<u32>', access: 'read' },
    { name: 'positions', type: 'array<u32>', access: 'read' },
    ...(variant.last ? sourceBindings(variant) : sourceBindings(variant).filter(({ name }) => name === 'counts')),
    ...pairOutputs,
  ],
  parameters: [
    ['n', 'u32'],
    ['tiles', 'u32'],
    ['width', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: (variant) => ({
    declarations: emitFunction(variant),
    main: `
  let row = group / params.tiles;
  let base = row * params.n;
  let row_count = ${variant.ragged ? 'min(counts[row], params.n)' : 'params.n'};
  let out_start = ((group % params.tiles) * ${lanes}u + lane) * ${mergedPerLane}u;
  let pair_start = out_start / (2u * params.width) * (2u * params.width);
  let left_end = min(pair_start + params.width, row_count);
  let right_end = min(pair_start + 2u * params.width, row_count);
  let out_end = min(out_start + ${mergedPerLane}u, right_end);
  if (out_start < out_end) {
    let left_length = left_end - pair_start;
    let right_length = right_end - left_end;
    let diagonal = out_start - pair_start;
    var low = max(diagonal, right_length) - right_length;
    var high = min(diagonal, left_length);
    while (low < high) {
      let middle = (low + high) / 2u;
      if (keys[base + pair_start + middle] >= keys[base + left_end + diagonal - 1u - middle]) { low = middle + 1u; }
      else { high = middle; }
    }
    var left = pair_start + low;
    var right = left_end + diagonal - low;
    // Read ahead by one; the clamped index is never used past its run's end.
    var left_key = keys[base + min(left, params.n - 1u)];
    var right_key = keys[base + min(right, params.n - 1u)];
    for (var at = out_start; at < out_end; at++) {
      if (left < left_end && (right >= right_end || left_key >= right_key)) {
        emit(base, at, left_key, positions[base + left]);
        left++;
        left_key = keys[base + min(left, params.n - 1u)];
      } else {
        emit(base, at, right_key, positions[base + right]);
        right++;
        right_key = keys[base + min(right, params.n - 1u)];
      }
    }
  }
  for (var at = max(out_start, row_count); at < min(out_start + ${mergedPerLane}u, params.n); at++) { emit(base, at, 0u, at); }`,
  }),
});

/** What {@link sortRows} sorts besides the values themselves. */
export interface SortRowsOptions {
  readonly descending: boolean;
  /** u32, shaped like the values: what to return as indices instead of positions. */
  readonly carried?: Tensor;
  /** u32, one per row: only so many leading elements of each row are sorted, the rest stays in place. */
  readonly counts?: Tensor;
}

/** The launcher under `sort` and `topK`: sorts the rows of a contiguous f32, i32 or u32 tensor. */
export function sortRows(x: Tensor, options: SortRowsOptions): { values: Tensor; indices: Tensor } {
  const gpu: Gpu = x.gpu;
  const n = x.shape.at(-1) as number;
  const rows = n === 0 ? 0 : x.size / n;
  const { carried, counts, descending } = options;
  const pass = { carried: carried !== undefined, ragged: counts !== undefined };
  const values = gpu.empty(x.shape, x.dtype);
  const indices = gpu.empty(x.shape, 'u32');
  const extras = [...(carried ? [carried] : []), ...(counts ? [counts] : [])];
  const blocks = Math.ceil(n / sortBlock);
  const tiles = Math.ceil(n / (lanes * mergedPerLane));
  const bytes = 16 * x.size;
  const single = n <= sortBlock;
  const scratch = () => [gpu.empty([rows, n], 'u32'), gpu.empty([rows, n], 'u32')] as const;
  let from = single ? undefined : scratch();
  gpu.launch(
    sortBlocks,
    { ...pass, last: single },
    {
      bindings: [x, ...extras, ...(from ?? [values, indices])],
      parameters: [n, blocks, ...orderArguments(x.dtype as OrderedDtype, descending)],
      workgroups: rows * blocks,
      cost: { flops: x.size * Math.log2(sortBlock), bytes },
    },
  );
  for (let width = sortBlock; from && width < n; width *= 2) {
    const last = 2 * width >= n;
    const to: readonly [Tensor, Tensor] = last ? [values, indices] : scratch();
    // What only the last merge uses is constant in the others, so that they share one pipeline.
    gpu.launch(
      sortMerge,
      { ...pass, carried: last && pass.carried, last },
      {
        bindings: [...from, ...(last ? [x, ...extras] : counts ? [counts] : []), ...to],
        parameters: [n, tiles, width],
        workgroups: rows * tiles,
        cost: { flops: 2 * x.size, bytes },
      },
    );
    for (const tensor of from) tensor.dispose();
    from = last ? undefined : to;
  }
  return { values, indices };
}

export interface SortOptions {
  /** Largest first. Default false. */
  readonly descending?: boolean;
}

/** A tensor's rows in order, and where each element came from. */
export interface Sorted {
  /** Shape and dtype of the input. */
  readonly values: Tensor;
  /** u32, shape of the input: `values[..., i] = x[..., indices[..., i]]`. */
  readonly indices: Tensor;
}

/**
 * Sorts along the last axis. Stable: equal elements (negative zero equals zero) keep their order, also when descending.
 *
 * Blocks of 1024 are sorted in workgroup memory and merged pairwise: 1 + log2(n / 1024) dispatches.
 *
 * @param x f32, i32 or u32 [..., n]. No NaN: it has no place in the order.
 * @throws ShapeError for a scalar or another dtype; LimitError for a tensor over the binding limit.
 */
export function sort(x: Tensor, options: SortOptions = {}): Sorted {
  if (x.rank === 0 || (x.dtype !== 'f32' && x.dtype !== 'i32' && x.dtype !== 'u32')) {
    throw new ShapeError('sort', `got ${x.dtype}[${x.shape}]; needs f32, i32 or u32 with at least one axis.`);
  }
  const { gpu } = x;
  if (elementCount(x.shape) === 0) return { values: gpu.empty(x.shape, x.dtype), indices: gpu.empty(x.shape, 'u32') };
  return gpu.tidy(() => sortRows(contiguous(x), { descending: options.descending ?? false }));
}

/** The permutation that {@link sort} applies: u32, shape of `x`. */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
  const { values, indices } = sort(x, options);
  values.dispose();
  return indices;
}
