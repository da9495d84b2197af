import type { Gpu } from '../../device/gpu.ts';
import { ArgumentError, LimitError } from '../../errors.ts';
import type { Shape } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { CallParts } from '../call-parts.ts';
import { type StridedInput, stridedInput } from '../strided-input.ts';
import type { PageFormat, PageSide, PageSizes } from './page-format.ts';
import { pageElementFunction, pageQuadFunction } from './page-text.ts';

/** Pages of a layer as kernels bind them. */
export interface PageStore extends PageSizes {
  readonly gpu: Gpu;
  readonly batch: number;
  readonly kvHeads: number;
  /** Pages of each head that the table has room for. */
  readonly pages: number;
  readonly formats: readonly PageFormat[];
  /** u32 [words]: all pages and, from `table` on, the page table [B, Hkv, pages]. Made true when it is asked for. */
  words(): { readonly buffer: Tensor; readonly table: number };
}

/**
 * Keys or values in pages: what a paged cache layer gives to attention in place of a tensor. Reads like one of shape
 * [B, Hkv, M, D]; each page has a precision of its own, and kernels unpack numbers as they load them.
 */
export class PagedRows {
  readonly dtype = 'paged';
  readonly rank = 4;
  /** [B, Hkv, M, D], M being whole pages. */
  readonly shape: Shape;
  readonly side: PageSide;
  readonly store: PageStore;
  readonly highOnly: boolean;

  constructor(store: PageStore, side: PageSide, highOnly = false) {
    const { batch, kvHeads, pages, pageSize, headSize } = store;
    this.store = store;
    this.side = side;
    this.highOnly = highOnly;
    this.shape = [batch, kvHeads, pages * pageSize, headSize];
  }

  get gpu(): Gpu {
    return this.store.gpu;
  }

  /**
   * The same rows by their high bits alone, where their format has low bits apart: those are not read, and count as zeros. SpAtten's
   * progressive quantization (arXiv 2012.09852, section III-D).
   */
  get high(): PagedRows {
    return new PagedRows(this.store, this.side, true);
  }
}

/** Keys or values as attention takes them: a tensor, or rows in pages. */
export type KeyRows = Tensor | PagedRows;

/** Bits of an index that count the elements of a row; head sizes go up to 256. */
const elementBits = 8;

/**
 * An input of keys or values: where its rows start. A paged one brings its WGSL, `<name>_quad(at)` and `<name>_element(at)`, into
 * the call's parts; `at` holds head, row and element in fields of bits, so that strides find them.
 *
 * @throws ShapeError, LimitError
 */
export function rowInput(operation: string, name: 'k' | 'v', rows: KeyRows, parts: CallParts): StridedInput {
  if (rows instanceof Tensor) return stridedInput(rows.gpu, operation, name, rows);
  const { store, side, highOnly, gpu } = rows;
  const { pageSize, headSize, pages, batch, kvHeads, formats } = store;
  const { buffer, table } = store.words();
  const rowBits = Math.ceil(Math.log2(pages * pageSize));
  const headStride = 2 ** (elementBits + rowBits);
  if (batch * kvHeads * headStride > 2 ** 32) {
    throw new LimitError(
      `${operation}: rows of all heads of a paged cache`,
      batch * kvHeads * 2 ** rowBits,
      'rows that an index of 32 bits counts',
      2 ** (32 - elementBits),
    );
  }
  const own = {
    table: parts.number(`${name}_table`, 'u32', table),
    pages: parts.number(`${name}_pages`, 'u32', pages),
    bits: parts.number(`${name}_row_bits`, 'u32', rowBits),
  };
  const binding = name === 'k' ? 'keys' : 'values';
  const place = `
  let row = (at >> ${elementBits}u) & ((1u << ${own.bits}) - 1u);
  let entry = ${binding}[${own.table} + (at >> (${elementBits}u + ${own.bits})) * ${own.pages} + row / ${pageSize}u];
  let slot = row % ${pageSize}u;`;
  const access = { name: binding, buffer: binding, side, formats, highOnly, pageSize, headSize };
  parts.define(`${pageQuadFunction(access)}${pageElementFunction(access)}
fn ${binding}_quad(at: u32) -> vec4f {${place}
  return ${binding}_page_quad(entry, slot, (at & ${2 ** elementBits - 1}u) >> 2u);
}
fn ${binding}_element(at: u32) -> f32 {${place}
  return ${binding}_page_element(entry, slot, at & ${2 ** elementBits - 1}u);
}`);
  return {
    range: gpu.range(buffer, operation),
    start: 0,
    strides: [kvHeads * headStride, headStride, 2 ** elementBits, 1],
  };
}

/** Refuses rows in pages where only tensors will do. @throws ArgumentError */
export function assertTensor(name: string, rows: KeyRows): asserts rows is Tensor {
  if (!(rows instanceof Tensor)) throw new ArgumentError(name, 'rows of a paged cache', 'a tensor');
}
