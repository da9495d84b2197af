import { resolveNumberFormat } from '../../attention/paged/number-format.ts';
import { blockLayout, type PageFormat } from '../../attention/paged/page-format.ts';
import type { PagedFacts } from './paged-layer.ts';
import { checkHeadSize, resolvePagedOptions } from './precision.ts';

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether what a file says of a paged layer fits its tensors and itself; a file may be damaged or made by hand. */
export function checkPagedFacts(
  given: unknown,
  batch: number,
  shapes: ReadonlyMap<string, readonly number[]>,
): boolean {
  try {
    const facts = given as PagedFacts;
    const { kvHeads, headSize, capacity, pageSize, recent, formats, aged, sequences, pages, groups } = facts;
    if (![kvHeads, headSize, capacity].every((count) => isCount(count) && count > 0)) return false;
    if (!soundFormats(formats) || (aged !== undefined && aged !== 1) || (aged === 1 && formats.length < 2))
      return false;
    resolvePagedOptions({ recent, pageSize }, headSize, 'f32');
    checkHeadSize(headSize, formats);
    if (sequences.length !== batch || pages.length !== batch) return false;
    let words = 0;
    for (const [sequence, { rows, since, appended }] of sequences.entries()) {
      const own = pages[sequence] as readonly number[];
      if (![rows, since, appended].every(isCount) || rows > capacity || appended > rows) return false;
      if (own.length !== Math.ceil(rows / pageSize)) return false;
      for (const format of own) {
        const known = formats[format];
        if (!known) return false;
        words += kvHeads * blockLayout(known, { pageSize, headSize }).words;
      }
    }
    const least = Math.min(...sequences.map(({ rows }) => rows));
    let end = 0;
    for (const { start, count } of groups) {
      if (!isCount(start) || !isCount(count) || start < end || start % pageSize !== 0) return false;
      end = start + count;
    }
    const positions = shapes.get('positions');
    const longest = Math.max(...sequences.map(({ rows }) => rows), 1);
    if (positions && `${positions}` !== `${[batch, kvHeads, longest]}`) return false;
    return end <= least && (groups.length === 0 || positions !== undefined) && `${shapes.get('words')}` === `${words}`;
  } catch {
    return false;
  }
}

function soundFormats(formats: readonly PageFormat[]): boolean {
  const [full, ...others] = formats;
  if (full?.kind !== 'full' || (full.dtype !== 'f32' && full.dtype !== 'f16') || formats.length > 4) return false;
  return others.every((format) => {
    if (format.kind !== 'quantized') return false;
    const text = (side: 'keys' | 'values') => JSON.stringify(resolveNumberFormat(side, format[side]));
    return text('keys') === JSON.stringify(format.keys) && text('values') === JSON.stringify(format.values);
  });
}
