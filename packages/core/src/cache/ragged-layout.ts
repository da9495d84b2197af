import type { KeyRows, PagedRows } from '../attention/paged/paged-rows.ts';
import { unpackRows } from '../attention/paged/unpack-rows.ts';
import type { Gpu } from '../device/gpu.ts';
import type { LaunchBinding } from '../device/launcher.ts';
import { LimitError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { cast } from '../ops/copy.ts';
import { gather } from '../ops/gather.ts';
import { plainBytes } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { headStride } from './head-table.ts';
import { SharedTensors } from './shared-tensors.ts';
import type { CacheDtype } from './types.ts';

/** Rows of all heads one behind the other, each head with room behind its own. */
export type RaggedRows = SharedTensors<'keys' | 'values' | 'positions' | 'heads'>;

/** Where rows are taken from. Heads count through batch and head: b Hkv + h. */
export type RowSource =
  /** Row = position. `lengths`: rows of each sequence. */
  | { readonly kind: 'contiguous'; readonly keys: Tensor; readonly values: Tensor; readonly lengths: readonly number[] }
  /** Row = position modulo the window. `lengths`: tokens of each sequence. */
  | { readonly kind: 'ring'; readonly keys: Tensor; readonly values: Tensor; readonly lengths: readonly number[] }
  /** Row = position, in pages. `dtype`: of pages in full precision. */
  | {
      readonly kind: 'paged';
      readonly keys: PagedRows;
      readonly values: PagedRows;
      readonly dtype: CacheDtype;
      readonly lengths: readonly number[];
    }
  /** `lengthsAt`: where in `heads` the lengths begin. */
  | {
      readonly kind: 'ragged';
      readonly rows: RaggedRows;
      readonly lengthsAt: number;
      readonly batch: number;
      readonly kvHeads: number;
    };

/** Which rows of every head are kept, in ascending order. */
export interface RowChoice {
  /** u32 [B, Hkv, K]: rows of the head, 0 being its oldest. */
  readonly indices: Tensor;
  /** u32 [B, Hkv]: how many of the K count. Default: all. */
  readonly counts?: Tensor | undefined;
}

/** A new layout: which sequences it takes, what it keeps of them and how much room it leaves. */
export interface LayoutPlan {
  readonly source: RowSource;
  /** First sequence and number of sequences of the source. */
  readonly first: number;
  readonly batch: number;
  readonly keep?: RowChoice | undefined;
  /** Most rows that the sequences keep, all heads together; the buffers hold so many and the room. */
  readonly total: number;
  /** Rows of room behind every head, per sequence. */
  readonly room: readonly number[];
  /** Added to the rows where heads start, for a layout that goes behind another. Default 0. */
  readonly firstRow?: number;
}

interface LayoutVariant {
  /** Lengths of the source stand per sequence or per head. */
  readonly ragged: boolean;
  readonly counted: boolean;
  readonly [field: string]: boolean;
}

/**
 * Starts and lengths of the heads in a new layout. Invariant: what a head keeps is at most what it has, what the list
 * holds and what is left of the buffers, whatever the counts say, so that no later access is out of range.
 */
const layoutKernel = defineKernel<LayoutVariant>({
  name: 'cache-layout',
  bindings: ({ counted }) => [
    { name: 'lengths', type: 'array<u32>', access: 'read' },
    { name: 'room', type: 'array<u32>', access: 'read' },
    ...(counted ? [{ name: 'counts', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'heads', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['count', 'u32'],
    ['kv_heads', 'u32'],
    ['first_length', 'u32'],
    ['first_head', 'u32'],
    ['list_length', 'u32'],
    ['first_row', 'u32'],
    ['total', 'u32'],
    ['stride', 'u32'],
  ],
  workgroupSize: () => 1,
  source: ({ ragged, counted }) => ({
    main: `
  var start = params.first_row;
  var left = params.total;
  for (var head = 0u; head < params.count; head++) {
    let own = lengths[params.first_length + ${ragged ? 'head' : 'head / params.kv_heads'}];
    let length = min(min(own, left), ${counted ? 'min(counts[params.first_head + head], params.list_length)' : 'params.list_length'});
    heads[head] = start;
    heads[params.stride + head] = length;
    heads[2u * params.stride + head] = length;
    start += length + room[head / params.kv_heads];
    left -= length;
  }`,
  }),
});

interface RowsVariant {
  readonly source: RowSource['kind'];
  readonly listed: boolean;
  readonly [field: string]: string | boolean;
}

const workgroupSize = 64;

/** For each row of a new layout the row of the source that it takes, and its position; rows of room take none. */
const rowsKernel = defineKernel<RowsVariant>({
  name: 'cache-rows',
  bindings: ({ source, listed }) => [
    { name: 'heads', type: 'array<u32>', access: 'read' },
    ...(source === 'ragged'
      ? ([
          { name: 'source_heads', type: 'array<u32>', access: 'read' },
          { name: 'source_positions', type: 'array<u32>', access: 'read' },
        ] as const)
      : []),
    ...(source === 'ring' ? [{ name: 'ends', type: 'array<u32>', access: 'read' } as const] : []),
    ...(listed ? [{ name: 'list', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'rows', type: 'array<u32>', access: 'read_write' },
    { name: 'positions', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['count', 'u32'],
    ['kv_heads', 'u32'],
    ['first_head', 'u32'],
    ['list_length', 'u32'],
    ['first_row', 'u32'],
    ['stride', 'u32'],
    ['capacity', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ source, listed }) => {
    const standing = `
  rows[index] = own_head * params.capacity + item;
  positions[index] = item;`;
    const place = {
      contiguous: standing,
      paged: standing,
      ring: `
  let end = ends[own_head / params.kv_heads];
  let position = end - min(end, params.capacity) + item;
  rows[index] = own_head * params.capacity + position % params.capacity;
  positions[index] = position;`,
      ragged: `
  let source_row = source_heads[own_head] + item;
  rows[index] = source_row;
  positions[index] = source_positions[source_row];`,
    };
    return {
      main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size) { return; }
  // The last head that starts at or before this row.
  var head = 0u;
  var end_head = params.count;
  while (head + 1u < end_head) {
    let middle = (head + end_head) / 2u;
    if (heads[middle] <= params.first_row + index) { head = middle; } else { end_head = middle; }
  }
  let entry = params.first_row + index - heads[head];
  if (entry >= heads[params.stride + head]) {
    rows[index] = 0xffffffffu;
    positions[index] = 0xffffffffu;
    return;
  }
  let own_head = params.first_head + head;
  let item = ${listed ? 'list[own_head * params.list_length + entry]' : 'entry'};${place[source]}`,
    };
  },
});

/**
 * Compacts rows into buffers of their own, on the GPU: the host knows only how many rows there are at most. Until the
 * source is freed, its memory and the new one's are both in use, and eight bytes per new row.
 *
 * @throws LimitError when the keys do not fit into a storage binding
 */
export function layOut(gpu: Gpu, plan: LayoutPlan): RaggedRows {
  const { source, first, batch, keep, total, room, firstRow = 0 } = plan;
  const { keys, kvHeads, headSize } = sourceRows(source);
  const count = batch * kvHeads;
  const stride = headStride(count);
  const size = Math.max(total + kvHeads * room.reduce((sum, rows) => sum + rows, 0), 1);
  checkRows(gpu, size, headSize, source.kind === 'paged' ? source.dtype : (keys.dtype as CacheDtype));
  const listLength = keep ? (keep.indices.shape[2] as number) : 0xffffffff;
  const counts = keep?.counts ? [keep.counts] : [];
  const ragged = source.kind === 'ragged';
  return gpu.tidy(() => {
    const heads = gpu.empty([3 * stride], 'u32');
    const lengths = ragged ? source.rows.tensors.heads : uploadLengths(gpu, source);
    gpu.launch(
      layoutKernel,
      { ragged, counted: counts.length > 0 },
      {
        bindings: [lengths, gpu.tensor(room, [batch], 'u32'), ...counts, heads],
        parameters: [
          count,
          kvHeads,
          ragged ? source.lengthsAt + first * kvHeads : first,
          first * kvHeads,
          listLength,
          firstRow,
          total,
          stride,
        ],
        workgroups: 1,
      },
    );
    const rows = gpu.empty([size], 'u32');
    const positions = gpu.empty([size], 'u32');
    const from: LaunchBinding[] = ragged ? [source.rows.tensors.heads, source.rows.tensors.positions] : [];
    if (source.kind === 'ring') from.push(gpu.tensor(source.lengths, [source.lengths.length], 'u32'));
    gpu.launch(
      rowsKernel,
      { source: source.kind, listed: keep !== undefined },
      {
        bindings: [heads, ...from, ...(keep ? [keep.indices] : []), rows, positions],
        parameters: [
          size,
          count,
          kvHeads,
          first * kvHeads,
          listLength,
          firstRow,
          stride,
          ragged ? 0 : (keys.shape[2] as number),
        ],
        workgroups: Math.ceil(size / workgroupSize),
        cost: { flops: 0, bytes: 12 * size },
      },
    );
    return new SharedTensors(gpu, { ...takeRows(source, rows), positions, heads });
  });
}

/** The rows of a source that a list names, u32 [n], as [n, D]. */
function takeRows(source: RowSource, rows: Tensor): { keys: Tensor; values: Tensor } {
  if (source.kind === 'paged') {
    const take = (stored: PagedRows) => cast(unpackRows(stored, rows), source.dtype);
    return { keys: take(source.keys), values: take(source.values) };
  }
  const { keys, values } = source.kind === 'ragged' ? source.rows.tensors : source;
  const take = (stored: Tensor) => gather(stored.reshape([-1, stored.shape.at(-1) as number]), rows);
  return { keys: take(keys), values: take(values) };
}

/** Sizes and storage of a source. */
export function sourceRows(source: RowSource): { keys: KeyRows; kvHeads: number; headSize: number } {
  const { keys } = source.kind === 'ragged' ? source.rows.tensors : source;
  const kvHeads = source.kind === 'ragged' ? source.kvHeads : (keys.shape[1] as number);
  return { keys, kvHeads, headSize: keys.shape.at(-1) as number };
}

function uploadLengths(gpu: Gpu, source: Exclude<RowSource, { kind: 'ragged' }>): Tensor {
  const capacity = source.keys.shape[2] as number;
  const lengths = source.lengths.map((length) => Math.min(length, capacity));
  return gpu.tensor(lengths, [lengths.length], 'u32');
}

function checkRows(gpu: Gpu, size: number, headSize: number, dtype: CacheDtype): void {
  const bytes = plainBytes(dtype, size * headSize);
  const { maxStorageBinding } = gpu.capabilities;
  if (bytes > maxStorageBinding) {
    throw new LimitError(`KvCache: ${size} rows of keys`, bytes, 'maxStorageBufferBindingSize', maxStorageBinding);
  }
}
