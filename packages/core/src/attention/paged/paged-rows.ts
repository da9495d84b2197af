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
  const { store, gpu } = rows;
  const { pageSize, pages, batch, kvHeads } = store;
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
  parts.number(`${name}_table`, 'u32', table);
  parts.number(`${name}_pages`, 'u32', pages);
  parts.number(`${name}_row_bits`, 'u32', rowBits);
  parts.define(rowFunctions(rows, name));
  return {
    range: gpu.range(buffer, operation),
    start: 0,
    strides: [kvHeads * headStride, headStride, 2 ** elementBits, 1],
  };
}

/** Texts by the formats of a layer, which are one list as long as it lives: launches are many, and the text is long. */
const texts = new WeakMap<readonly PageFormat[], Map<string, string>>();

/** Declares `keys_quad(at)` and `keys_element(at)`, or those of values. */
function rowFunctions({ store, side, highOnly }: PagedRows, name: 'k' | 'v'): string {
  const { pageSize, headSize, formats } = store;
  const known = texts.get(formats) ?? new Map<string, string>();
  texts.set(formats, known);
  const key = `${name} ${side} ${highOnly} ${formats.length}`;
  let text = known.get(key);
  if (text !== undefined) return text;
  const binding = name === 'k' ? 'keys' : 'values';
  const access = { name: binding, buffer: binding, side, formats, highOnly, pageSize, headSize };
  const rest = `(${elementBits}u + params.${name}_row_bits)`;
  const place = `
  let row = (at >> ${elementBits}u) & ((1u << params.${name}_row_bits) - 1u);
  let entry = ${binding}[params.${name}_table + (at >> ${rest}) * params.${name}_pages + row / ${pageSize}u];
  let slot = row % ${pageSize}u;`;
  text = `${pageQuadFunction(access)}${pageElementFunction(access)}
fn ${binding}_quad(at: u32) -> vec4f {${place}
  return ${binding}_page_quad(entry, slot, (at & ${2 ** elementBits - 1}u) >> 2u);
}
fn ${binding}_element(at: u32) -> f32 {${place}
  return ${binding}_page_element(entry, slot, at & ${2 ** elementBits - 1}u);
}`;
  known.set(key, text);
  return text;
}

/** Refuses rows in pages where only tensors will do. @throws ArgumentError */
export function assertTensor(name: string, rows: KeyRows): asserts rows is Tensor {
  if (!(rows instanceof Tensor)) throw new ArgumentError(name, 'rows of a paged cache', 'a tensor');
}
