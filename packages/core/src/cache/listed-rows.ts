import type { Gpu } from '../device/gpu.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { cast, concatenate } from '../ops/copy.ts';
import { gather, scatterRows } from '../ops/gather.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type RowChoice, type RowSource, sourceRows } from './ragged-layout.ts';
import type { PaddedRows } from './types.ts';

interface ListedVariant {
  readonly ragged: boolean;
  readonly listed: boolean;
  readonly counted: boolean;
  readonly [field: string]: boolean;
}

const workgroupSize = 64;

/** For each entry of a list per head, the row of the storage that it names; rows that do not count get 0xffffffff. */
const listedRowsKernel = defineKernel<ListedVariant>({
  name: 'cache-listed-rows',
  bindings: ({ listed, counted }) => [
    { name: 'lengths', type: 'array<u32>', access: 'read' },
    ...(listed ? [{ name: 'list', type: 'array<u32>', access: 'read' } as const] : []),
    ...(counted ? [{ name: 'counts', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'rows', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['list_length', 'u32'],
    ['kv_heads', 'u32'],
    ['capacity', 'u32'],
    ['lengths_at', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ ragged, listed, counted }) => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size) { return; }
  let head = index / params.list_length;
  let entry = index % params.list_length;
  let item = ${listed ? 'list[index]' : 'entry'};
  let length = lengths[${ragged ? 'params.lengths_at + head' : 'head / params.kv_heads'}];
  let start = ${ragged ? 'lengths[head]' : 'head * params.capacity'};
  let counts_here = item < length${counted ? ' && entry < counts[head]' : ''};
  rows[index] = select(0xffffffffu, start + item, counts_here);`,
  }),
});

/** Where the rows of heads stand. */
export interface HeadRows {
  /** Rows of each sequence, u32 [B]; of ragged rows the table of heads. */
  readonly lengths: Tensor;
  readonly lengthsAt: number;
  readonly ragged: boolean;
  /** Rows from one head to the next, unless ragged. */
  readonly capacity: number;
  readonly batch: number;
  readonly kvHeads: number;
}

function headRows(gpu: Gpu, source: RowSource): HeadRows {
  const { keys, kvHeads } = sourceRows(source);
  if (source.kind === 'ragged') {
    const { batch, lengthsAt } = source;
    return { lengths: source.rows.tensors.heads, lengthsAt, ragged: true, capacity: 0, batch, kvHeads };
  }
  const batch = source.lengths.length;
  const lengths = gpu.tensor(source.lengths, [batch], 'u32');
  return { lengths, lengthsAt: 0, ragged: false, capacity: keys.shape[2] as number, batch, kvHeads };
}

/** Rows of the storage for the entries of a list, u32 [B Hkv K]; without a list, for the first `length` rows of each head. */
export function listedRows(gpu: Gpu, place: HeadRows, length: number, choice?: RowChoice): Tensor {
  const { lengths, lengthsAt, ragged, capacity, batch, kvHeads } = place;
  const size = batch * kvHeads * length;
  const rows = gpu.empty([size], 'u32');
  const counts = choice?.counts ? [choice.counts] : [];
  gpu.launch(
    listedRowsKernel,
    { ragged, listed: choice !== undefined, counted: counts.length > 0 },
    {
      bindings: [lengths, ...(choice ? [choice.indices] : []), ...counts, rows],
      parameters: [size, length, kvHeads, capacity, lengthsAt],
      workgroups: Math.ceil(size / workgroupSize),
      cost: { flops: 0, bytes: 8 * size },
    },
  );
  return rows;
}

/** Rows that stand in tensors, in the order of their positions. */
export type TensorSource = Exclude<RowSource, { kind: 'ring' | 'paged' }>;

function tensorsOf(source: TensorSource): { keys: Tensor; values: Tensor } {
  return source.kind === 'ragged' ? source.rows.tensors : source;
}

/** Rewrites listed rows of each head in place. `k` and `v` are [B, Hkv, K, D]. */
export function replaceRows(gpu: Gpu, source: TensorSource, choice: RowChoice, k: Tensor, v: Tensor): void {
  gpu.tidy(() => {
    const { keys, values } = tensorsOf(source);
    const headSize = keys.shape.at(-1) as number;
    const rows = listedRows(gpu, headRows(gpu, source), choice.indices.shape[2] as number, choice);
    for (const [target, given] of [
      [keys, k],
      [values, v],
    ] as const) {
      const flat = cast(given, keys.dtype as 'f32' | 'f16').reshape([-1, headSize]);
      scatterRows(target.reshape([-1, headSize]), rows, flat);
    }
  });
}

/** The rows that count, all heads padded to `longest`. */
export function padRows(gpu: Gpu, source: TensorSource, longest: number): PaddedRows {
  return gpu.tidy(() => {
    const { kvHeads, headSize } = sourceRows(source);
    const { keys, values } = tensorsOf(source);
    if (source.kind === 'contiguous') {
      const batch = source.lengths.length;
      const positions = gpu.tensor(
        Uint32Array.from({ length: longest }, (_, row) => row),
        [1, 1, longest],
        'u32',
      );
      const lengths = source.lengths.flatMap((length) => new Array<number>(kvHeads).fill(length));
      return {
        keys: keys.slice(2, 0, longest),
        values: values.slice(2, 0, longest),
        positions: positions.broadcastTo([batch, kvHeads, longest]),
        lengths: gpu.tensor(lengths, [batch, kvHeads], 'u32'),
      };
    }
    const { heads, positions } = source.rows.tensors;
    const shape = [source.batch, kvHeads, longest];
    const rows = listedRows(gpu, headRows(gpu, source), longest);
    const pick = (tensor: Tensor) => gather(tensor, rows);
    return {
      keys: pick(keys).reshape([...shape, headSize]),
      values: pick(values).reshape([...shape, headSize]),
      positions: pick(positions).reshape(shape),
      lengths: concatenate([heads.slice(0, source.lengthsAt, source.lengthsAt + source.batch * kvHeads)]).reshape(
        shape.slice(0, 2),
      ),
    };
  });
}
