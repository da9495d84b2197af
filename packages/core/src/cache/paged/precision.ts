import { type NumberFormat, resolveNumberFormat } from '../../attention/paged/number-format.ts';
import type { PageFormat } from '../../attention/paged/page-format.ts';
import { ArgumentError } from '../../errors.ts';
import type { CacheDtype } from '../types.ts';

/**
 * How pages are quantized. A number of bits stands for keys per channel and values per token (KIVI, arXiv 2402.02750: channels of
 * keys differ by far, values do not).
 */
export type CachePrecision = 8 | 4 | 2 | { readonly keys: NumberFormat; readonly values: NumberFormat };

/** What a paged layer keeps at which precision. */
export interface PagedOptions {
  /** Of pages whose tokens are old. Default: all stay in full precision, the cache's dtype. */
  readonly precision?: CachePrecision;
  /**
   * Newest tokens that stay in full precision; those of a page that is not full yet always do. A page is quantized at the end of the
   * pass in which all of its tokens become older. Default 0.
   */
  readonly recent?: number;
  /** Tokens of a page, a power of two from 16 to 256; channels share a step over these. Default 64. */
  readonly pageSize?: number;
}

/** How a run keeps the tokens of layers that reach over the whole context; layers with a window or a state follow `dtype` alone. */
export interface CacheOptions extends PagedOptions {
  /** Of what is in full precision. Default f32. */
  readonly dtype?: CacheDtype;
  /** In pages, which forks share. Default: where a precision is given. */
  readonly paged?: boolean;
}

export interface ResolvedPagedOptions {
  /** Full precision first. */
  readonly formats: readonly PageFormat[];
  /** Number of the format of old pages; none where they stay in full precision. */
  readonly aged: number | undefined;
  readonly recent: number;
  readonly pageSize: number;
}

const shorthand: readonly unknown[] = [8, 4, 2];
const pageSizes = [16, 32, 64, 128, 256];

/** @throws ArgumentError */
export function resolvePrecision(name: string, precision: CachePrecision): PageFormat {
  if (typeof precision === 'object' && precision !== null) {
    const { keys, values } = precision;
    return {
      kind: 'quantized',
      keys: resolveNumberFormat(`${name}.keys`, keys),
      values: resolveNumberFormat(`${name}.values`, values),
    };
  }
  if (!shorthand.includes(precision)) {
    throw new ArgumentError(name, precision, '8, 4, 2, or formats of keys and values');
  }
  return {
    kind: 'quantized',
    keys: resolveNumberFormat(name, { bits: precision, per: 'channel' }),
    values: resolveNumberFormat(name, { bits: precision, per: 'token' }),
  };
}

/** @throws ArgumentError */
export function resolvePagedOptions(
  { precision, recent = 0, pageSize = 64 }: PagedOptions,
  headSize: number,
  dtype: CacheDtype,
): ResolvedPagedOptions {
  if (!pageSizes.includes(pageSize)) throw new ArgumentError('KvCache: pageSize', pageSize, pageSizes.join(', '));
  if (!Number.isInteger(recent) || recent < 0)
    throw new ArgumentError('KvCache: recent', recent, 'an integer of 0 or more');
  const formats: PageFormat[] = [{ kind: 'full', dtype }];
  if (precision !== undefined) formats.push(resolvePrecision('KvCache: precision', precision));
  checkHeadSize(headSize, formats);
  return { formats, recent, pageSize, aged: precision === undefined ? undefined : 1 };
}

/** @throws ArgumentError, also for options of pages where there are none */
export function checkCacheOptions(options: CacheOptions, headSize: number): void {
  const { dtype = 'f32', paged = options.precision !== undefined } = options;
  checkCacheDtype('cache.dtype', dtype);
  if (paged) resolvePagedOptions(options, headSize, dtype);
  for (const name of ['precision', 'recent', 'pageSize'] as const) {
    if (!paged && options[name] !== undefined) {
      throw new ArgumentError(`cache.${name}`, options[name], 'only of a paged cache, or with a precision');
    }
  }
}

/** @throws ArgumentError */
export function checkCacheDtype(name: string, dtype: CacheDtype): void {
  if (dtype !== 'f32' && dtype !== 'f16') throw new ArgumentError(name, dtype, 'f32, f16');
}

/** @throws ArgumentError where rows would not fill whole words */
export function checkHeadSize(headSize: number, formats: readonly PageFormat[]): void {
  const step = formats.some(({ kind }) => kind === 'quantized') ? 16 : 4;
  if (headSize % step !== 0 || headSize > 256) {
    throw new ArgumentError(
      'KvCache: headSize',
      headSize,
      `a multiple of ${step} up to 256 for pages of this precision`,
    );
  }
}
