import { defineKernel } from '../../kernels/kernel.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { PageFormat, PageSide, PageSizes } from './page-format.ts';
import { pageQuadFunction } from './page-text.ts';
import type { KeyRows, PagedRows } from './paged-rows.ts';

interface UnpackVariant extends PageSizes {
  /** JSON */
  readonly formats: string;
  readonly side: PageSide;
  readonly highOnly: boolean;
  /** Rows are listed. */
  readonly listed: boolean;
  readonly [field: string]: string | number | boolean;
}

const lanes = 64;

const unpackKernel = defineKernel<UnpackVariant>({
  name: 'cache-unpack-rows',
  bindings: ({ listed }) => [
    { name: 'pages', type: 'array<u32>', access: 'read' },
    ...(listed ? [{ name: 'list', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['length', 'u32'],
    ['table', 'u32'],
    ['pages_per_head', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ formats, side, highOnly, listed, pageSize, headSize }) => ({
    declarations: pageQuadFunction({
      ...{ name: 'source', buffer: 'pages', side, formats: JSON.parse(formats) as PageFormat[] },
      ...{ highOnly, pageSize, headSize },
    }),
    main: `
  let index = group * ${lanes}u + lane;
  if (index >= params.size) { return; }
  let item = index / ${headSize / 4}u;
  let quad = index % ${headSize / 4}u;
  let stored = params.pages_per_head * ${pageSize}u;
  let flat = ${listed ? 'list[item]' : 'item / params.length * stored + item % params.length'};
  var value = vec4f();
  if (flat != 0xffffffffu) {
    let entry = pages[params.table + flat / ${pageSize}u];
    value = source_page_quad(entry, flat % ${pageSize}u, quad);
  }
  for (var d = 0u; d < 4u; d++) { result[4u * index + d] = value[d]; }`,
  }),
});

/**
 * Rows of a paged cache as a tensor of their own, for what cannot read pages.
 *
 * @param list Rows of all heads, b Hkv M + h M + row, u32 [n]; 0xffffffff gives zeros.
 * @returns f32 [n, D]
 */
export function unpackRows(rows: PagedRows, list: Tensor): Tensor {
  const result = rows.gpu.empty([list.size, rows.store.headSize]);
  launch(rows, list.size, 0, list, result);
  return result;
}

/**
 * The first `length` rows of each head as a tensor, [B, Hkv, length, D]: a view where they stand in one, else unpacked, f32.
 *
 * @param rows [B, Hkv, M, D]
 */
export function denseRows(rows: KeyRows, length: number): Tensor {
  if (rows instanceof Tensor) return rows.slice(2, 0, length);
  const { batch, kvHeads, headSize } = rows.store;
  const result = rows.gpu.empty([batch, kvHeads, length, headSize]);
  launch(rows, batch * kvHeads * length, length, undefined, result);
  return result;
}

function launch(
  { gpu, store, side, highOnly }: PagedRows,
  count: number,
  length: number,
  list: Tensor | undefined,
  result: Tensor,
): void {
  const { pageSize, headSize, pages, formats } = store;
  const { buffer, table } = store.words();
  const size = (count * headSize) / 4;
  gpu.launch(
    unpackKernel,
    { formats: JSON.stringify(formats), side, highOnly, listed: list !== undefined, pageSize, headSize },
    {
      bindings: [buffer, ...(list ? [list] : []), result],
      parameters: [size, length, table, pages],
      workgroups: Math.ceil(size / lanes),
      cost: { flops: 0, bytes: 8 * count * headSize },
    },
  );
}
