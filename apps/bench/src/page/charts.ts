import { type Chart, chartsFor, denseSeries } from '../report/charts.ts';
import { type Group, groupRows, type RowNames } from '../report/groups.ts';
import { chartSvg, legendSvg, type SeriesStyle, styleSeries } from '../report/svg.ts';
import type { ResultRow } from '../result-file/types.ts';
import type { RunFile } from './store.ts';

/** Rows of one task on one model, of all runs, with its charts. */
export interface Section {
  readonly group: Group;
  readonly runOf: (row: ResultRow) => string;
  readonly charts: readonly Chart[];
  readonly styles: ReadonlyMap<string, SeriesStyle>;
}

/** Sections of all runs; where there are several, lines tell which run they are of. */
export function sectionsOf(files: readonly RunFile[], names: RowNames): readonly Section[] {
  const runs = new Map(files.flatMap(({ rows, label }) => rows.map((row) => [row, label] as const)));
  const runOf = (row: ResultRow) => runs.get(row) ?? '';
  return groupRows([...runs.keys()], names).map((plain) => {
    const group: Group =
      files.length > 1 ? { ...plain, seriesOf: (row) => `${plain.seriesOf(row)}, ${runOf(row)}` } : plain;
    const charts = chartsFor(group);
    const styles = styleSeries([...new Set(charts.flatMap(({ series }) => series))], denseSeries(group));
    return { group, runOf, charts, styles };
  });
}

export { chartSvg, legendSvg };
