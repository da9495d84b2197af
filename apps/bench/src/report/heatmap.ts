import * as Plot from '@observablehq/plot';
import type { Heatmap } from '../result-file/types.ts';
import { formatShare } from './format.ts';
import { plotElement } from './svg.ts';

const mostWidth = 680;
const mostCell = 22;
const margin = { left: 58, right: 12, top: 12, bottom: 44 };

/** Draws a matrix as SVG text: one hue from the page to the first series' colour, marked cells outlined. */
export function heatmapSvg(picture: Heatmap): string {
  const { values, marks, title } = picture;
  const columns = Math.max(...values.map((row) => row.length));
  const cell = Math.min(mostCell, (mostWidth - margin.left - margin.right) / columns);
  const cells = values.flatMap((row, y) =>
    row.flatMap((value, x) => (value === null ? [] : [{ x, y, value, title: `${y}, ${x}: ${formatShare(value)}` }])),
  );
  const every = (count: number) => Math.ceil(count / 16);
  const ticks = (count: number) =>
    Array.from({ length: Math.ceil(count / every(count)) }, (_, at) => at * every(count));
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const svg = plotElement({
    width: columns * cell + margin.left + margin.right,
    height: values.length * cell + margin.top + margin.bottom,
    marginLeft: margin.left,
    marginRight: margin.right,
    marginTop: margin.top,
    marginBottom: margin.bottom,
    className: 'plot',
    style: { background: 'none' },
    x: { type: 'band', domain: range(columns), label: null, ticks: ticks(columns), padding: 0.04 },
    y: { type: 'band', domain: range(values.length), label: null, ticks: ticks(values.length), padding: 0.04 },
    marks: [
      Plot.cell(cells, { x: 'x', y: 'y', fill: 'var(--series-0)', fillOpacity: 'value', title: 'title' }),
      Plot.cell(
        marks.map(([y, x]) => ({ x, y })),
        { x: 'x', y: 'y', fill: 'none', stroke: 'var(--ink)', strokeWidth: 1.5 },
      ),
      Plot.frame({ stroke: 'var(--grid)' }),
    ],
    opacity: { type: 'identity' },
  });
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${title}.`);
  return svg.outerHTML;
}
