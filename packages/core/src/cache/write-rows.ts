import { type AttentionDtype, inputAccess } from '../attention/elements.ts';
import type { PageStore } from '../attention/paged/paged-rows.ts';
import { stridedInput } from '../attention/strided-input.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { SequencePass } from './sequence-pass.ts';
import type { CacheDtype, RowSizes } from './types.ts';

interface WriteVariant {
  readonly source: AttentionDtype;
  readonly target: CacheDtype;
  /** Sequences differ in length: a table says where each row of k belongs. */
  readonly table: boolean;
  /**
   * Where rows stand. `rows`: at their position modulo the capacity. `ragged`: heads have rows of their own number; `heads` says
   * where they stand, and each row keeps its position. `paged`: in pages of full precision, by a page table.
   */
  readonly layout: RowTarget['kind'];
  /** Positions come from a tensor rather than from the pass. */
  readonly given: boolean;
  readonly [field: string]: string | boolean;
}

const workgroupSize = 64;

/**
 * Copies strided rows of k and v into a cache layer. An invocation writes two elements: one word where they are f16.
 *
 * A row goes to its position modulo the capacity: itself where rows do not wrap. Rows that later ones of the same
 * sequence would replace in a ring are left out, so that no two invocations write to one place. In ragged storage a row
 * goes behind those of its head, and the first invocations write the lengths that heads have afterwards. In pages its place
 * is found through the page table.
 */
const writeRowsKernel = defineKernel<WriteVariant>({
  name: 'cache-write',
  bindings: ({ source, target, table, layout, given }, capabilities) => {
    const read = inputAccess('k', source, false, capabilities).type;
    const write = target === 'f16' ? 'array<u32>' : 'array<f32>';
    return [
      { name: 'k', type: read, access: 'read' },
      { name: 'v', type: read, access: 'read' },
      ...(table ? [{ name: 'table', type: 'array<vec4u>', access: 'read' } as const] : []),
      ...(layout === 'paged'
        ? ([{ name: 'pages', type: 'array<u32>', access: 'read_write' }] as const)
        : ([
            { name: 'keys', type: write, access: 'read_write' },
            { name: 'values', type: write, access: 'read_write' },
          ] as const)),
      ...(layout === 'ragged'
        ? ([
            { name: 'positions', type: 'array<u32>', access: 'read_write' },
            { name: 'heads', type: 'array<u32>', access: 'read_write' },
          ] as const)
        : []),
      ...(given ? [{ name: 'given', type: 'array<u32>', access: 'read' } as const] : []),
    ];
  },
  parameters: [
    ['size', 'u32'],
    ['pairs', 'u32'],
    ['head_size', 'u32'],
    ['rows', 'u32'],
    ['kv_heads', 'u32'],
    ['capacity', 'u32'],
    ['position', 'u32'],
    ['all_heads', 'u32'],
    ['table_rows', 'u32'],
    ['lengths_at', 'u32'],
    ['next_at', 'u32'],
    ['page_table', 'u32'],
    ['pages_per_head', 'u32'],
    ['page_size', 'u32'],
    ['k_start', 'u32'],
    ['k_batch', 'u32'],
    ['k_head', 'u32'],
    ['k_row', 'u32'],
    ['v_start', 'u32'],
    ['v_batch', 'u32'],
    ['v_head', 'u32'],
    ['v_row', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ source, target, table, layout, given }, capabilities) => {
    const paged = layout === 'paged';
    const write = (from: 'k' | 'v', to: 'keys' | 'values') => {
      const { load } = inputAccess(from, source, false, capabilities);
      const at = `${from}_at`;
      const place = `let ${at} = params.${from}_start + batch * params.${from}_batch + head * params.${from}_head + row * params.${from}_row + d;`;
      const buffer = paged ? 'pages' : to;
      const row = paged ? `${to}_target` : `target_row * params.${target === 'f16' ? 'pairs' : 'head_size'}`;
      if (target === 'f16') {
        return `${place}\n  ${buffer}[${row} + pair] = pack2x16float(vec2f(${load(at)}, ${load(`${at} + 1u`)}));`;
      }
      const element = (index: string) => (paged ? `bitcast<u32>(${load(index)})` : load(index));
      return `${place}
  ${buffer}[${row} + d] = ${element(at)};
  if (d + 1u < params.head_size) { ${buffer}[${row} + d + 1u] = ${element(`${at} + 1u`)}; }`;
    };
    return {
      main: `
  let index = group * ${workgroupSize}u + lane;
  ${
    layout === 'ragged'
      ? `if (index < params.all_heads) {
    let added = ${table ? 'table[params.table_rows + index / params.kv_heads].x' : 'params.rows'};
    heads[params.next_at + index] = heads[params.lengths_at + index] + added;
  }`
      : ''
  }
  if (index >= params.size) { return; }
  let pair = index % params.pairs;
  let row = (index / params.pairs) % params.rows;
  let head = (index / (params.pairs * params.rows)) % params.kv_heads;
  let batch = index / (params.pairs * params.rows * params.kv_heads);
  let d = 2u * pair;
  ${
    table
      ? `let entry = table[batch * params.rows + row];
  let sequence = entry.x;
  let position = entry.y;
  let added = entry.z;
  let end = entry.w;
  if (sequence == 0xffffffffu) { return; }`
      : `let sequence = batch;
  let position = params.position + row;
  let added = row;
  let end = params.position + params.rows;`
  }
  let own_head = sequence * params.kv_heads + head;
  ${
    layout === 'ragged'
      ? `let target_row = heads[own_head] + heads[params.lengths_at + own_head] + added;
  if (pair == 0u) { positions[target_row] = ${given ? 'given[row]' : 'position'}; }`
      : paged
        ? `let page = pages[params.page_table + own_head * params.pages_per_head + position / params.page_size];
  let row_words = ${target === 'f16' ? 'params.pairs' : 'params.head_size'};
  let keys_target = (page & 0xfffffffcu) + position % params.page_size * row_words;
  let values_target = keys_target + params.page_size * row_words;`
        : `if (position + params.capacity < end) { return; }
  let target_row = own_head * params.capacity + position % params.capacity;`
  }
  ${write('k', 'keys')}
  ${write('v', 'values')}`,
    };
  },
});

/** Storage of all tokens, or a ring: [B, Hkv, capacity, D]. */
interface RowsTarget {
  readonly kind: 'rows';
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Storage in which each head has rows of its own: [rows, D]. */
interface RaggedTarget {
  readonly kind: 'ragged';
  readonly keys: Tensor;
  readonly values: Tensor;
  /** u32 [rows] */
  readonly positions: Tensor;
  /** Positions of the new rows where the pass does not say them (one sequence), u32 [N]. */
  readonly given: Tensor | undefined;
  readonly heads: Tensor;
  /** Where in `heads` the lengths before and after the pass stand. */
  readonly lengthsAt: number;
  readonly nextAt: number;
}

/** Pages, all of those that are written in full precision. */
interface PagedTarget {
  readonly kind: 'paged';
  readonly store: PageStore;
  readonly dtype: CacheDtype;
}

export type RowTarget = RowsTarget | RaggedTarget | PagedTarget;

/**
 * Writes rows of k and v into a layer's storage: from one position on in every sequence, or where a pass says. One dispatch.
 *
 * @param k [B, Hkv, N, D], for a pass also packed
 */
export function writeRows(target: RowTarget, k: Tensor, v: Tensor, where: number | SequencePass): void {
  const { gpu } = k;
  const headSize = k.shape.at(-1) as number;
  const ragged = target.kind === 'ragged' ? target : undefined;
  const pages = target.kind === 'paged' ? { ...target.store.words(), store: target.store } : undefined;
  const [batch, kvHeads, rows] = k.shape as [number, number, number];
  const pass = typeof where === 'number' ? undefined : where;
  const batches = pass?.counts.length ?? batch;
  const padded = batch === batches && rows === (pass?.tokens ?? rows);
  const position = typeof where === 'number' ? where : where.uniform && padded ? where.starts[0] : undefined;
  const table = pass && position === undefined ? [pass.rowTable(padded ? 'padded' : 'packed')] : [];
  const sources = [stridedInput(gpu, 'cache', 'k', k), stridedInput(gpu, 'cache', 'v', v)] as const;
  const pairs = Math.ceil(headSize / 2);
  const size = batch * kvHeads * rows * pairs;
  const allHeads = ragged ? batches * kvHeads : 0;
  gpu.launch(
    writeRowsKernel,
    {
      source: k.dtype as AttentionDtype,
      target: target.kind === 'paged' ? target.dtype : (target.keys.dtype as CacheDtype),
      table: table.length > 0,
      layout: target.kind,
      given: ragged?.given !== undefined,
    },
    {
      bindings: [
        sources[0].range,
        sources[1].range,
        ...table,
        ...(target.kind === 'paged' ? [(pages as { buffer: Tensor }).buffer] : [target.keys, target.values]),
        ...(ragged ? [ragged.positions, ragged.heads] : []),
        ...(ragged?.given ? [ragged.given] : []),
      ],
      parameters: [
        size,
        pairs,
        headSize,
        rows,
        kvHeads,
        target.kind === 'rows' ? (target.keys.shape[2] as number) : 0,
        position ?? 0,
        allHeads,
        batch * rows,
        ragged?.lengthsAt ?? 0,
        ragged?.nextAt ?? 0,
        pages?.table ?? 0,
        pages?.store.pages ?? 0,
        pages?.store.pageSize ?? 1,
        ...sources.flatMap(({ start, strides }) => [start, ...strides.slice(0, 3)]),
      ],
      workgroups: Math.ceil(Math.max(size, allHeads) / workgroupSize),
      cost: { flops: 0, bytes: 4 * gpu.bytesOf(k) },
    },
  );
}

/** Checks k and v against a layer of `batch` sequences; returns how many rows a batch entry of k holds. */
export function checkRows(
  { batch, kvHeads, headSize }: Omit<RowSizes, 'dtype'>,
  k: Tensor,
  v: Tensor,
  pass?: SequencePass,
): number {
  const rows = k.shape[2] ?? 0;
  const fits = (tensor: Tensor) =>
    tensor.rank === 4 && tensor.shape[1] === kvHeads && tensor.shape[2] === rows && tensor.shape[3] === headSize;
  const padded = (tensor: Tensor) => tensor.shape[0] === batch && (!pass || rows === pass.tokens);
  const packed = (tensor: Tensor) => pass !== undefined && tensor.shape[0] === 1 && rows === pass.rows;
  for (const [name, tensor] of [
    ['k', k],
    ['v', v],
  ] as const) {
    if (!fits(tensor) || !(padded(tensor) || packed(tensor))) {
      const n = pass ? pass.tokens : 'N';
      const other = pass && batch > 1 ? ` or packed [1, ${kvHeads}, ${pass.rows}, ${headSize}]` : '';
      throw new ShapeError(
        'cache',
        `${name} is [${tensor.shape}]; the cache takes [${batch}, ${kvHeads}, ${n}, ${headSize}]${other}.`,
      );
    }
  }
  if (k.shape[0] !== v.shape[0]) throw new ShapeError('cache', `k [${k.shape}] and v [${v.shape}] differ.`);
  if (k.dtype !== v.dtype || (k.dtype !== 'f32' && k.dtype !== 'f16')) {
    throw new ArgumentError('cache: dtypes of k and v', `${k.dtype} and ${v.dtype}`, 'both f32 or both f16');
  }
  return rows;
}
