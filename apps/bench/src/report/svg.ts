import * as Plot from '@observablehq/plot';
import { plotDocument } from '#plot-document';
import type { Chart } from './charts.ts';
import { formatNumber, formatShare, grouped } from './format.ts';

/** Look of a series: a CSS variable, so that light and dark pages differ, and a shape, so that colour is not all. */
export interface SeriesStyle {
  readonly color: string;
  readonly symbol: Plot.SymbolType;
  readonly dashed: boolean;
}

const symbols: readonly Plot.SymbolType[] = [
  'circle',
  'square',
  'triangle',
  'diamond',
  'star',
  'wye',
  'cross',
  'hexagon',
];
const height = 300;
const margin = { left: 58, right: 12, top: 34, bottom: 44 };

/** Gives each series of a page its look; dense runs are dashed, and the first of them is neutral. */
export function styleSeries(names: readonly string[], dense: readonly string[]): ReadonlyMap<string, SeriesStyle> {
  const [first] = dense;
  const styles = new Map<string, SeriesStyle>();
  if (first !== undefined) styles.set(first, { color: 'var(--dense)', symbol: 'circle', dashed: true });
  const others = names.filter((name) => name !== first);
  others.forEach((name, index) => {
    const symbol = symbols[(index + 1) % symbols.length] as Plot.SymbolType;
    styles.set(name, { color: `var(--series-${index % symbols.length})`, symbol, dashed: dense.includes(name) });
  });
  return styles;
}

/** Draws a chart as SVG text that needs nothing from outside; colours are the page's CSS variables. */
export function chartSvg(chart: Chart, styles: ReadonlyMap<string, SeriesStyle>): string {
  const several = chart.facets.length > 1;
  const facet = several ? { fx: 'facet' } : {};
  const ordered = [...chart.points].sort((a, b) => a.x - b.x);
  const color = (entry: { readonly series: string }) => styles.get(entry.series)?.color ?? 'var(--dense)';
  const xs = [...new Set(ordered.map(({ x }) => x))];
  const whiskers = ordered.filter(({ low, high }) => high > low && (!chart.yLog || low > 0));
  const svg = plotElement({
    width: several ? Math.min(1020, margin.left + margin.right + chart.facets.length * 330) : 680,
    height,
    marginLeft: margin.left,
    marginRight: margin.right,
    marginTop: margin.top,
    marginBottom: margin.bottom,
    className: 'plot',
    style: { background: 'none' },
    fx: { domain: chart.facets, label: null, padding: 0.08 },
    x: {
      type: xs.length > 1 ? 'log' : 'point',
      ...(xs.length > 1 ? {} : { domain: xs }),
      label: null,
      ticks: thin(xs, several ? 4 : 8),
      tickFormat: chart.xForm === 'share' ? formatShare : grouped,
      inset: 14,
    },
    y: {
      type: chart.yLog ? 'log' : 'linear',
      label: null,
      ticks: chart.yLog ? logTicks(chart) : 5,
      tickFormat: chart.yForm === 'share' ? formatShare : formatNumber,
      grid: true,
      inset: 8,
      ...(chart.yForm === 'share' ? { domain: [0, 1] } : { nice: !chart.yLog }),
    },
    marks: [
      Plot.ruleY(chart.references, {
        y: 'y',
        ...facet,
        stroke: color,
        strokeWidth: 1.5,
        strokeDasharray: '5 4',
      }),
      Plot.ruleX(whiskers, {
        x: 'x',
        y1: 'low',
        y2: 'high',
        ...facet,
        stroke: color,
        strokeOpacity: 0.45,
        strokeWidth: 2,
      }),
      ...[...styles].flatMap(([name, style]) => {
        const line = ordered.filter(({ series }) => series === name);
        if (line.length === 0) return [];
        const dash = style.dashed ? { strokeDasharray: '5 4' } : {};
        return [
          Plot.lineY(line, { x: 'x', y: 'y', ...facet, stroke: style.color, strokeWidth: 1.75, ...dash }),
          Plot.dot(line, {
            x: 'x',
            y: 'y',
            ...facet,
            fill: style.color,
            stroke: 'var(--page)',
            symbol: style.symbol,
            r: 4.5,
          }),
        ];
      }),
      Plot.frame({ stroke: 'var(--grid)' }),
    ],
  });
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${chart.title}. Series: ${chart.series.join(', ')}.`);
  return svg.outerHTML;
}

/** The small sign of a series in a legend. */
export function legendSvg(style: SeriesStyle): string {
  const svg = plotElement({
    width: 30,
    height: 14,
    margin: 0,
    axis: null,
    x: { domain: [0, 2] },
    y: { domain: [0, 2] },
    marks: [
      Plot.ruleY([1], { stroke: style.color, strokeWidth: 1.75, ...(style.dashed ? { strokeDasharray: '5 4' } : {}) }),
      Plot.dot([[1, 1]], { fill: style.color, symbol: style.symbol, r: style.dashed ? 3.5 : 4.5 }),
    ],
  });
  svg.setAttribute('aria-hidden', 'true');
  return svg.outerHTML;
}

/** Draws with a document of its own; the library's style sheet is dropped, since the page has one. */
export function plotElement(options: Plot.PlotOptions): Element {
  const element = Plot.plot({ ...options, document: plotDocument() });
  element.querySelector('style')?.remove();
  return element;
}

/** Round values of a logarithmic axis that lie in the data: 1, 2, 5 of each decade, or decades alone where there are many. */
function logTicks(chart: Chart): number[] {
  const values = [...chart.points, ...chart.references]
    .flatMap(({ y, low, high }) => [y, low, high])
    .filter((y) => y > 0);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const decades = Array.from(
    { length: Math.ceil(Math.log10(most)) - Math.floor(Math.log10(least)) + 1 },
    (_, index) => 10 ** (Math.floor(Math.log10(least)) + index),
  );
  const steps = decades.length > 4 ? [1] : most / least < 4 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : [1, 2, 5];
  const inData = decades.flatMap((decade) => steps.map((step) => step * decade)).filter((y) => y >= least && y <= most);
  return inData.length > 0 ? inData : [least];
}

/** At most `most` of the values, evenly picked, first and last kept, so that tick labels do not overlap. */
function thin(values: readonly number[], most: number): number[] {
  if (values.length <= most) return [...values];
  const step = (values.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => values[Math.round(index * step)] as number);
}
