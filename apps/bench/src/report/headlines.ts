import { qualityNames, type ResultRow } from '../result-file/types.ts';

import { formatMeasure, formatNumber, formatShare, grouped, spreadOf } from './format.ts';
import type { Group } from './groups.ts';
import { contextLength, qualityTexts } from './metrics.ts';

/** The most important thing of each group of a result file; groups without one are left out. */
export function headlinesOf(groups: readonly Group[]): string[] {
  return groups.flatMap((group) => headline(group) ?? []);
}

/** One plain sentence per group that says the most important thing, or undefined where there is nothing to say. */
function headline(group: Group): string | undefined {
  const bad = group.rows.filter((row) => row.status === 'failed').length;
  const failures = bad === 0 ? '' : ` ${bad} of ${group.rows.length} measurements failed.`;
  const best = fastest(group) ?? closest(group);
  if (best === undefined && failures === '') return undefined;
  return `${group.title}: ${best ?? 'no comparison was possible.'}${failures}`;
}

function fastest(group: Group): string | undefined {
  const rows = group.rows.filter(
    (row) => row.status === 'ok' && group.roleOf(row) === 'method' && row.speed.speedup !== undefined,
  );
  const speed = (row: ResultRow) => (row.speed.speedup === undefined ? 0 : spreadOf(row.speed.speedup).centre);
  const best = [...rows].sort((a, b) => speed(b) - speed(a))[0];
  if (best?.speed.speedup === undefined) return undefined;
  const times = formatMeasure(best.speed.speedup, (ratio) => formatNumber(ratio));
  return `the fastest is ${group.seriesOf(best)}${circumstances(best)}, ${times} times as fast as ${best.baseline ?? 'dense'}.`;
}

/** Without speeds: the best first quality of a method, where it is hardest: smallest budget, longest context. */
function closest(group: Group): string | undefined {
  for (const name of qualityNames) {
    const { better, label, form } = qualityTexts[name];
    const format = form === 'share' ? formatShare : formatNumber;
    const sign = better === 'lower' ? 1 : -1;
    const valued = group.rows.flatMap((row) => {
      const measure = row.quality[name];
      return measure === undefined ? [] : [{ row, value: spreadOf(measure).centre, length: contextLength(row) ?? 0 }];
    });
    const best = valued
      .filter(({ row }) => row.status === 'ok' && row.budget !== null && group.roleOf(row) === 'method')
      .sort(
        (a, b) => (a.row.budget ?? 1) - (b.row.budget ?? 1) || b.length - a.length || sign * (a.value - b.value),
      )[0];
    if (best === undefined) continue;
    const dense = valued.find(({ row, length }) => row.method === 'dense' && length === best.length);
    const beside = dense === undefined ? '' : ` (dense: ${format(dense.value)})`;
    return `${group.seriesOf(best.row)}${circumstances(best.row)}: ${label.toLowerCase()} ${format(best.value)}${beside}.`;
  }
  return undefined;
}

function circumstances(row: ResultRow): string {
  const length = contextLength(row);
  const parts = [
    length === undefined ? '' : `${grouped(length)} tokens of context`,
    row.budget === null ? '' : `a budget of ${formatShare(row.budget)}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : ` with ${parts.join(' and ')}`;
}
