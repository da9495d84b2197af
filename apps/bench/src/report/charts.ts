import { type Measure, qualityNames, type ResultRow } from '../result-file/types.ts';
import { spreadOf } from './format.ts';
import type { Group } from './groups.ts';
import { contextLength, qualityTexts, timeNames, timeTexts } from './metrics.ts';

/** One point of a chart, with its interval where known. */
export interface Point {
  readonly series: string;
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
  /** Small multiple that the point belongs to; the same for all where there is only one. */
  readonly facet: string;
}

/** A reference line: a dense run, in one small multiple. */
export interface Reference {
  readonly series: string;
  readonly y: number;
  readonly low: number;
  readonly high: number;
  readonly facet: string;
}

/** What to draw, still without any geometry. */
export interface Chart {
  readonly title: string;
  readonly caption: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xForm: 'share' | 'tokens';
  readonly yForm: 'share' | 'number';
  /** Times and errors span decades. */
  readonly yLog: boolean;
  /** Small multiples in order; one entry where there is only one. */
  readonly facets: readonly string[];
  /** Series in order of appearance, the dense one included if it has a line or a reference. */
  readonly series: readonly string[];
  readonly points: readonly Point[];
  readonly references: readonly Reference[];
}

/** The charts of a group: each quality against the budget (or the length), each time against the length. */
export function chartsFor(group: Group): readonly Chart[] {
  return [...qualityCharts(group), ...timeCharts(group)];
}

/** The names that every chart gives the series of dense runs: one, or one for each of several runs. */
export function denseSeries(group: Group): readonly string[] {
  return [...new Set(group.rows.filter((row) => row.method === 'dense').map((row) => group.seriesOf(row)))];
}

function* qualityCharts(group: Group): Generator<Chart> {
  for (const name of qualityNames) {
    const rows = usable(group.rows, (row) => row.quality[name]);
    const { label, better, form, meaning } = qualityTexts[name];
    const direction = better === 'neither' ? '' : ` ${better === 'higher' ? 'Higher' : 'Lower'} is better.`;
    const shared = { yLabel: label, yForm: form, caption: `${meaning}${direction}` };
    const budgeted = rows.filter(({ row }) => row.budget !== null);
    if (budgeted.length > 0) {
      const facetOf = (row: ResultRow) => lengthFacet(contextLength(row));
      const dense = rows.filter(({ row }) => row.method === 'dense');
      const facets = inOrder(budgeted.map(({ row }) => contextLength(row) ?? 0)).map((n) =>
        lengthFacet(n || undefined),
      );
      yield {
        ...shared,
        title: `${label} against budget`,
        xLabel: 'Budget: share of the context that may be read',
        xForm: 'share',
        yLog: logarithmic.includes(name) && budgeted.every(({ measure }) => spreadOf(measure).centre > 0),
        facets,
        series: seriesNames(group, [...dense, ...budgeted]),
        points: budgeted.map(({ row, measure }) => point(group, row, row.budget as number, measure, facetOf(row))),
        references: dense
          .map(({ row, measure }) => ({ series: group.seriesOf(row), ...bounds(measure), facet: facetOf(row) }))
          .filter(({ facet }) => facets.includes(facet)),
      };
    } else if (new Set(rows.map(({ row }) => contextLength(row))).size > 1) {
      const withLength = rows.filter(({ row }) => contextLength(row) !== undefined);
      yield {
        ...shared,
        title: `${label} against context length`,
        xLabel: 'Context length (tokens)',
        xForm: 'tokens',
        yLog: false,
        facets: [''],
        series: seriesNames(group, withLength),
        points: withLength.map(({ row, measure }) => point(group, row, contextLength(row) as number, measure, '')),
        references: [],
      };
    }
  }
}

/** Qualities that span decades between methods. */
const logarithmic: readonly string[] = ['klToDense', 'perplexity'];

function* timeCharts(group: Group): Generator<Chart> {
  for (const name of timeNames) {
    const rows = usable(group.rows, (row) => row.speed[name]).filter(({ row }) => contextLength(row) !== undefined);
    if (rows.length === 0) continue;
    const budgets = inOrder(rows.flatMap(({ row }) => row.budget ?? []));
    const facets = budgets.length === 0 ? [''] : budgets.map(budgetFacet);
    yield {
      title: `${timeTexts[name]} against context length`,
      caption:
        'Median of repeated runs, with the 10th and 90th percentile. Lower is better; both axes are logarithmic.',
      xLabel: 'Context length (tokens)',
      yLabel: timeTexts[name],
      xForm: 'tokens',
      yForm: 'number',
      yLog: true,
      facets,
      series: seriesNames(group, rows),
      // A run without a budget is the same at every budget: it is shown beside each.
      points: rows.flatMap(({ row, measure }) =>
        (row.budget === null ? facets : [budgetFacet(row.budget)]).map((facet) =>
          point(group, row, contextLength(row) as number, measure, facet),
        ),
      ),
      references: [],
    };
  }
}

interface MeasuredRow {
  readonly row: ResultRow;
  readonly measure: Measure;
}

/** Rows that hold the measure and may be shown: also where dense fails, since that is worth seeing. */
function usable(rows: readonly ResultRow[], get: (row: ResultRow) => Measure | undefined): MeasuredRow[] {
  return rows.flatMap((row) => {
    const measure = get(row);
    return measure === undefined ? [] : [{ row, measure }];
  });
}

function point(group: Group, row: ResultRow, x: number, measure: Measure, facet: string): Point {
  return { series: group.seriesOf(row), x, ...bounds(measure), facet };
}

function bounds(measure: Measure): { y: number; low: number; high: number } {
  const { centre, low = centre, high = centre } = spreadOf(measure);
  return { y: centre, low, high };
}

function seriesNames(group: Group, rows: readonly MeasuredRow[]): string[] {
  return [...new Set(rows.map(({ row }) => group.seriesOf(row)))];
}

function lengthFacet(length: number | undefined): string {
  return length === undefined ? '' : `${length.toLocaleString('en-US')} tokens`;
}

function budgetFacet(budget: number): string {
  return `budget ${Number((budget * 100).toPrecision(3))}%`;
}

function inOrder(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
