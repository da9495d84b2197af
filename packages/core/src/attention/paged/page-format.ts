import { planeWidths, type ResolvedNumberFormat } from './number-format.ts';

/** How a page holds its numbers. Keys and values of a page stand in the same block of words. */
export type PageFormat =
  | { readonly kind: 'full'; readonly dtype: 'f32' | 'f16' }
  | { readonly kind: 'quantized'; readonly keys: ResolvedNumberFormat; readonly values: ResolvedNumberFormat };

/** Keys or values of a page. */
export type PageSide = 'keys' | 'values';

/** Sizes of the pages of one layer. */
export interface PageSizes {
  /** Tokens of a page, a power of two. */
  readonly pageSize: number;
  /** D. */
  readonly headSize: number;
}

/** Bits of every number of one side, at word `start` of the block. */
interface Plane {
  readonly width: number;
  readonly start: number;
}

/** Where one side of a quantized page stands, in words from the start of the head's block. */
export interface QuantizedLayout {
  readonly format: ResolvedNumberFormat;
  /** The highest bits first; those of `lowBits` come last. */
  readonly high: readonly Plane[];
  readonly low: readonly Plane[];
  /** Smallest number and step, two halves in a word, per token or per channel. */
  readonly ranges: number;
  /** What channels were divided by, halves; where they were. */
  readonly norms: number;
}

/** A head's block of words in a page: keys, then values. */
export interface BlockLayout {
  readonly words: number;
  readonly keys: QuantizedLayout | undefined;
  readonly values: QuantizedLayout | undefined;
  /** Word where the values of a page in full precision start. */
  readonly fullValues: number;
}

/** Words of a row in full precision. */
export function fullRowWords(dtype: 'f32' | 'f16', headSize: number): number {
  return dtype === 'f32' ? headSize : headSize / 2;
}

/** Lays out the block of one head in a page. */
export function blockLayout(format: PageFormat, sizes: PageSizes): BlockLayout {
  const { pageSize, headSize } = sizes;
  if (format.kind === 'full') {
    const side = pageSize * fullRowWords(format.dtype, headSize);
    return { words: 2 * side, keys: undefined, values: undefined, fullValues: side };
  }
  const keys = quantizedLayout(format.keys, sizes, 0);
  const values = quantizedLayout(format.values, sizes, keys.end);
  return { words: values.end, keys: keys.layout, values: values.layout, fullValues: 0 };
}

function quantizedLayout(
  format: ResolvedNumberFormat,
  { pageSize, headSize }: PageSizes,
  start: number,
): { layout: QuantizedLayout; end: number } {
  let end = start;
  const take = (words: number) => {
    const at = end;
    end += words;
    return at;
  };
  const planes = (bits: number) =>
    planeWidths(bits).map((width) => ({ width, start: take((pageSize * headSize * width) / 32) }));
  const high = planes(format.bits - format.lowBits);
  const ranges = take(format.per === 'channel' ? headSize : pageSize);
  const norms = take(format.per === 'channelSeparable' ? headSize / 2 : 0);
  const low = planes(format.lowBits);
  return { layout: { format, high, low, ranges, norms }, end };
}
