import type { CachePrecision, Gpu, LayerCache, RowGroup } from '@saccade/core';
import type { ResolvedZipvlOptions } from './options.ts';

/** Rows of a layer's cache by what they are kept as: important ones, others, and behind them those that are not compressed yet. */
export interface CompressedRows {
  readonly important: number;
  readonly other: number;
}

/** Keys per channel, values by token after channels were brought to one size; undefined: full precision. */
export function precisionOf(bits: number): CachePrecision | undefined {
  return bits === 16 ? undefined : { keys: { bits, per: 'channel' }, values: { bits, per: 'channelSeparable' } };
}

/** Whether anything changes in the cache. */
export function compresses({ bitsOther, unimportant }: ResolvedZipvlOptions): boolean {
  return bitsOther < 16 || unimportant === 'evict';
}

/**
 * Compresses rows of a layer that were in full precision: important ones join the important ones from before, and so do the others, which are
 * evicted where the options say so.
 *
 * @param flags By row behind those that are compressed: whether it is important; later rows stay as they are.
 */
export function compressRows(
  gpu: Gpu,
  cache: LayerCache,
  before: CompressedRows,
  flags: ArrayLike<number>,
  options: ResolvedZipvlOptions,
  kvHeads: number,
): CompressedRows {
  const { important, other } = before;
  const first = important + other;
  const kept = rows(0, important);
  const others = rows(important, first);
  for (let row = 0; row < flags.length; row++) (flags[row] ? kept : others).push(first + row);
  const evicts = options.unimportant === 'evict';
  const later = rows(first + flags.length, cache.longest);
  gpu.tidy(() => {
    const group = (list: readonly number[], bits: number): RowGroup[] => {
      if (list.length === 0) return [];
      const all = Array.from({ length: kvHeads }, () => list).flat();
      const precision = precisionOf(bits);
      const indices = gpu.tensor(all, [1, kvHeads, list.length], 'u32');
      return [precision ? { indices, precision } : { indices }];
    };
    cache.arrange([
      ...group(kept, options.bitsImportant),
      ...(evicts ? [] : group(others, options.bitsOther)),
      ...group(later, 16),
    ]);
  });
  return { important: kept.length, other: evicts ? 0 : others.length };
}

function rows(start: number, end: number): number[] {
  return Array.from({ length: Math.max(end - start, 0) }, (_, index) => start + index);
}
