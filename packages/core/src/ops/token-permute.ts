import { ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { isQuantized } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cast, contiguous } from './copy.ts';
import { stridedRange } from './strided.ts';
import { gridMathText, rowOfTokenText, type TokenOrder, tokenOfRowText, tokenOrderSizes } from './token-order.ts';

interface PermuteVariant extends Variant {
  /** Rows are made of tokens, or tokens of rows. */
  readonly make: 'rows' | 'tokens';
  /** Rows move in pieces of four words. */
  readonly quads: boolean;
}

const lanes = 64;
/** Invocations side by side along a row. */
const columns = 8;
const order = {
  id: 'grid',
  rank: 3,
  size: 'vec3i(params.size_0, params.size_1, params.size_2)',
  tile: 'vec3i(params.tile_0, params.tile_1, params.tile_2)',
  tileTokens: 'params.tile_tokens',
  dilation: 'vec3i(params.dilation_0, params.dilation_1, params.dilation_2)',
};

/** Where made row `row` (i32) comes from; negative for padding. */
const sources = {
  rows: `
fn source_of(row: i32) -> i32 {
  if (row >= params.grid_rows) {
    let other = row - params.grid_rows;
    return select(other, other + params.grid_tokens, other >= params.start);
  }
  ${tokenOfRowText(order)}
  let place = inner * ${order.dilation} + group;
  if (any(place >= ${order.size})) { return -1; }
  return params.start + grid_number(place, ${order.size});
}`,
  tokens: `
fn source_of(token: i32) -> i32 {
  let at = token - params.start;
  if (at < 0) { return params.grid_rows + token; }
  if (at >= params.grid_tokens) { return params.grid_rows + token - params.grid_tokens; }
  let place = grid_place(at, ${order.size});
  ${rowOfTokenText(order)}
  return row;
}`,
} as const;

/**
 * Rows of a head gathered in another order, as bits. Each invocation computes where one row comes from; then eight neighbouring
 * ones move a row, so that both sides of a copy are read and written along it.
 */
const tokenPermuteKernel = defineKernel<PermuteVariant>({
  name: 'tokenPermute',
  bindings: ({ quads }) => {
    const type = quads ? 'array<vec4<u32>>' : 'array<u32>';
    return [
      { name: 'x', type, access: 'read' },
      { name: 'out', type, access: 'read_write' },
    ];
  },
  parameters: [
    ['heads', 'u32'],
    ['rows', 'u32'],
    ['row_groups', 'u32'],
    ['units', 'u32'],
    ['x_start', 'u32'],
    ['x_batch', 'u32'],
    ['x_head', 'u32'],
    ['x_row', 'u32'],
    ['out_batch', 'u32'],
    ['out_head', 'u32'],
    ['out_row', 'u32'],
    ['start', 'i32'],
    ['grid_tokens', 'i32'],
    ['grid_rows', 'i32'],
    ['tile_tokens', 'i32'],
    ...([0, 1, 2] as const).flatMap((axis) =>
      (['size', 'tile', 'dilation'] as const).map((name) => [`${name}_${axis}`, 'i32'] as const),
    ),
  ],
  workgroupSize: () => lanes,
  source: ({ make, quads }) => ({
    declarations: `var<workgroup> sources: array<i32, ${lanes}>;
${gridMathText('grid', 3)}${sources[make]}`,
    main: `
  let pair = group / params.row_groups;
  let first = (group - pair * params.row_groups) * ${lanes}u;
  let batch = pair / params.heads;
  let head = pair - batch * params.heads;
  sources[lane] = source_of(i32(min(first + lane, params.rows - 1u)));
  workgroupBarrier();
  let from_head = params.x_start + batch * params.x_batch + head * params.x_head;
  let to_head = batch * params.out_batch + head * params.out_head;
  let count = min(params.rows - first, ${lanes}u);
  for (var made = lane / ${columns}u; made < count; made += ${lanes / columns}u) {
    let source = sources[made];
    let from_row = from_head + u32(max(source, 0)) * params.x_row;
    let to_row = to_head + (first + made) * params.out_row;
    for (var unit = lane % ${columns}u; unit < params.units; unit += ${columns}u) {
      var moved = ${quads ? 'vec4u()' : '0u'};
      if (source >= 0) { moved = x[from_row + unit]; }
      out[to_row + unit] = moved;
    }
  }`,
  }),
});

/**
 * The tokens of each head in another order; see {@link TokenOrder}. Padding is zeros.
 *
 * @param x any plain dtype, [B, H, N, D]; may be a strided view whose last axis is dense
 * @returns [B, H, N', D] in its dtype: N' = rows of the grid with padding + tokens beside the grid
 * @throws ShapeError for another rank or dtype and too few tokens; ArgumentError for an order that is none
 */
export function tokenPermute(x: Tensor, tokenOrder: TokenOrder): Tensor {
  return permuted('tokenPermute', x, tokenOrder, 'rows');
}

/**
 * The inverse of {@link tokenPermute}: tokens back in their order, without padding.
 *
 * @param x any plain dtype, [B, H, N', D]
 * @returns [B, H, N, D] in its dtype, a transposed view of [B, N, H, D]
 * @throws as `tokenPermute`
 */
export function tokenUnpermute(x: Tensor, tokenOrder: TokenOrder): Tensor {
  return permuted('tokenUnpermute', x, tokenOrder, 'tokens');
}

function permuted(operation: string, x: Tensor, tokenOrder: TokenOrder, make: PermuteVariant['make']): Tensor {
  const { gpu, dtype } = x;
  if (x.rank !== 4 || isQuantized(dtype)) {
    throw new ShapeError(operation, `takes [B, H, N, D] of a plain dtype, not ${dtype}[${x.shape}].`);
  }
  const { gridTokens, gridRows, tileTokens, dilation } = tokenOrderSizes(operation, tokenOrder);
  const { start = 0 } = tokenOrder;
  const [batches, heads, given, headSize] = x.shape as [number, number, number, number];
  const others = given - (make === 'rows' ? gridTokens : gridRows);
  if (others < 0 || start > others) {
    const wanted = make === 'rows' ? gridTokens : gridRows;
    throw new ShapeError(operation, `[${x.shape}] has fewer tokens than the grid's ${wanted} and ${start} before it.`);
  }
  const halves = dtype === 'f16' || dtype === 'bf16';
  if (halves && headSize % 2 !== 0)
    return gpu.tidy(() => cast(permuted(operation, cast(x, 'f32'), tokenOrder, make), dtype));
  return gpu.tidy(() => {
    const perWord = halves ? 2 : 1;
    const words = (values: readonly number[]) => values.map((value) => value / perWord);
    const outer = (tensor: Tensor) => tensor.strides.slice(0, 3) as [number, number, number];
    const movable =
      (x.strides[3] === 1 || headSize === 1) && [x.offset, ...outer(x)].every((value) => value % perWord === 0);
    const source = movable ? x : contiguous(x);
    const rows = others + (make === 'rows' ? gridRows : gridTokens);
    const out =
      make === 'rows'
        ? gpu.empty([batches, heads, rows, headSize], dtype)
        : gpu.empty([batches, rows, heads, headSize], dtype).transpose(0, 2, 1, 3);
    if (out.size === 0) return out;
    const { range, offset } = stridedRange(operation, source);
    const target = stridedRange(operation, out);
    const [from, to] = [words([offset, ...outer(source)]), words(outer(out))];
    const units = headSize / perWord;
    const quads = [...from, ...to, units].every((value) => value % 4 === 0);
    const pieces = (values: readonly number[]) => (quads ? values.map((value) => value / 4) : values);
    const axis = (values: readonly number[], at: number) => [1, 1, 1, ...values].slice(-3)[at] as number;
    const rowGroups = Math.ceil(rows / lanes);
    gpu.launch(
      tokenPermuteKernel,
      { make, quads },
      {
        bindings: [range, target.range],
        parameters: [
          ...[heads, rows, rowGroups, ...pieces([units]), ...pieces(from), ...pieces(to)],
          ...[start, gridTokens, gridRows, tileTokens],
          ...[0, 1, 2].flatMap((at) => [axis(tokenOrder.grid, at), axis(tokenOrder.tile, at), axis(dilation, at)]),
        ],
        workgroups: batches * heads * rowGroups,
        cost: { flops: 0, bytes: 2 * gpu.bytesOf(out) },
      },
    );
    return out;
  });
}
