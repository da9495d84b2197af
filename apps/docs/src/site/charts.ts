import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { workspace } from '../workspace.ts';

/** A chart of a table in a README: what was measured is told once, and drawn from there. */
export interface Chart {
  /** The method whose picture it is. */
  readonly slug: string;
  readonly title: string;
  /** The first column's heading, which finds the table: the first of them with the columns that are drawn. */
  readonly table: string;
  readonly columns: readonly string[];
  /** What the columns are called in the picture. Default: as in the table. */
  readonly names?: readonly string[];
  /** How many columns, from the first on, say what a row is. Default 1. */
  readonly labels?: number;
  /** Only rows whose label holds this. */
  readonly rows?: string;
  /** `lines`: the first column is a number along the x axis. `bars`: a bar per row and column. */
  readonly kind: 'lines' | 'bars';
  readonly xLabel?: string;
  readonly yLabel: string;
}

/** Charts that the site draws. */
export const charts: readonly Chart[] = [
  {
    slug: 'flash-attention-2',
    title: 'Time of attention by length: milliseconds, software adapter on two cores',
    table: 'forward, length',
    columns: ['FlashAttention-2', 'FlashAttention-1', 'three kernels'],
    kind: 'lines',
    xLabel: 'tokens',
    yLabel: 'ms',
  },
  {
    slug: 'tidaldecode',
    title: 'Perplexity of SmolLM2-135M when each layer reads a tenth of the context',
    table: 'at a budget of',
    columns: ['10%'],
    kind: 'bars',
    yLabel: 'perplexity',
  },
  {
    slug: 'spatten',
    title: 'KL divergence to dense by the share of keys that pruning layers keep',
    table: 'mean share kept in pruning layers',
    columns: ['KL to dense'],
    kind: 'bars',
    yLabel: 'nats',
  },
  {
    slug: 'hylra',
    title: 'KL divergence to dense, by full layers: evenly spaced, or searched',
    table: 'full layers',
    columns: ['every second, third, fifth layer', 'searched by threshold'],
    names: ['evenly spaced', 'searched'],
    labels: 2,
    rows: 'a key/value head',
    kind: 'bars',
    yLabel: 'nats',
  },
  {
    slug: 'based',
    title: 'Time of a layer by length: milliseconds, software adapter on two cores',
    table: 'tokens',
    columns: ['linear, prefill', 'softmax, prefill'],
    kind: 'lines',
    xLabel: 'tokens',
    yLabel: 'ms',
  },
  {
    slug: 'gated-attention',
    title: 'How much loss grows on texts longer than those of the training',
    table: '',
    columns: ['without', 'elementwise gate'],
    rows: 'degradation',
    kind: 'bars',
    yLabel: 'nats per byte',
  },
  {
    slug: 'gna',
    title: 'Speed-up over dense attention of 4,096 tokens, predicted and measured',
    table: 'layout',
    columns: ['predicted', 'in tiles'],
    names: ['predicted', 'measured'],
    labels: 3,
    kind: 'bars',
    yLabel: 'times as fast, software adapter',
  },
  {
    slug: 're-ttention',
    title: 'Images of shapes-dit at similar densities, compared with the dense ones',
    table: 'method',
    columns: ['PSNR (dB)'],
    kind: 'bars',
    yLabel: 'PSNR in dB',
  },
  {
    slug: 'sparsed',
    title: 'Perplexity of text that is filled in by masked diffusion',
    table: 'method',
    columns: ['perplexity'],
    kind: 'bars',
    yLabel: 'perplexity',
  },
  ...['carve', 'gift', 'var', 'vhr'].map(
    (slug): Chart => ({
      slug,
      title: 'Questions whether something is there, adversarial: answers that are right',
      table: 'accuracy, %',
      columns: ['adversarial'],
      kind: 'bars',
      yLabel: '%, shipped scenes model',
    }),
  ),
  {
    slug: 'zipvl',
    title: 'KL divergence to dense behind a compressed context',
    table: 'Method',
    columns: ['KL to dense (nats)'],
    kind: 'bars',
    yLabel: 'nats, byte model',
  },
];

/** The chart as SVG. @throws Error where the README has no such table or column any more */
export function drawChart(chart: Chart): string {
  const readme = readFileSync(join(workspace, 'packages', chart.slug, 'README.md'), 'utf8');
  const { header, rows: all } = tableOf(readme, chart);
  const labelOf = (row: readonly string[]) => plain(row.slice(0, chart.labels ?? 1).join(' '));
  const rows = all.filter((row) => labelOf(row).includes(chart.rows ?? ''));
  const series = chart.columns.map((column, index) => {
    const at = header.indexOf(column);
    return { name: chart.names?.[index] ?? column, values: rows.map((row) => numberIn(row[at] ?? '')) };
  });
  const labels = rows.map(labelOf);
  return chart.kind === 'lines' ? lines(chart, labels, series) : bars(chart, labels, series);
}

interface Series {
  readonly name: string;
  readonly values: readonly (number | undefined)[];
}

/** Without the marks of code. */
function plain(cell: string): string {
  return cell.replaceAll('`', '');
}

function tableOf(text: string, { table: first, columns, slug }: Chart): { header: string[]; rows: string[][] } {
  const cells = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const all = text.split('\n');
  const at = all.findIndex((line) => {
    const header = line.startsWith('|') ? cells(line) : [];
    return header[0] === first && columns.every((column) => header.includes(column));
  });
  if (at < 0) throw new Error(`packages/${slug}/README.md has no table of "${first}" with ${columns.join(' and ')}`);
  const end = all.findIndex((line, index) => index > at && !line.startsWith('|'));
  return { header: cells(all[at] ?? ''), rows: all.slice(at + 2, end < 0 ? undefined : end).map(cells) };
}

/** The number of a cell, which may stand before an interval; of several runs (`11.9, 13.1, 13.9`) the median. */
export function numberIn(cell: string): number | undefined {
  const [runs = ''] = cell.split(/ [([]/);
  const numbers = runs.split(', ').flatMap((run) => {
    const found = /^-?[\d,]+(?:\.\d+)?/.exec(run)?.[0];
    return found === undefined ? [] : [Number(found.replaceAll(',', ''))];
  });
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

const colours = ['#0d857b', '#b45309', '#6d5bd0'];
const width = 640;
const text = (x: number, y: number, content: string, more = '') =>
  `<text x="${x}" y="${y}" ${more}>${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;

function frame(height: number, title: string, content: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" font-family="system-ui, sans-serif" font-size="14" fill="#333"><title>${title}</title><rect width="100%" height="100%" fill="#fff"/>${text(16, 26, title, 'font-weight="600"')}${content.join('')}</svg>\n`;
}

/** Both axes logarithmic. */
function lines({ title, xLabel = '', yLabel }: Chart, labels: readonly string[], series: readonly Series[]): string {
  const height = 380;
  const xs = labels.map((label) => numberIn(label) ?? Number.NaN);
  const known = series.flatMap(({ values }) => values.filter((value) => value !== undefined));
  const x = scale(xs, 60, width - 40);
  const y = scale(known, height - 50, 60);
  const content = [
    ...xs.map((value) =>
      text(x(value), height - 28, value.toLocaleString('en'), 'text-anchor="middle" font-size="12"'),
    ),
    text((60 + width - 40) / 2, height - 8, xLabel, 'text-anchor="middle"'),
    ...powers(known).flatMap((value) => [
      `<path d="M60 ${y(value)}H${width - 40}" stroke="#ddd"/>`,
      text(
        52,
        y(value) + 4,
        `${value.toLocaleString('en')} ${yLabel}`.replace(/ ms$/, ''),
        'text-anchor="end" font-size="12"',
      ),
    ]),
    text(16, 48, yLabel, 'font-size="12"'),
    ...series.flatMap(({ name, values }, index) => {
      const colour = colours[index % colours.length] as string;
      const points = values.flatMap((value, at) =>
        value === undefined ? [] : [[x(xs[at] as number), y(value)] as const],
      );
      return [
        `<path d="M${points.map((point) => point.join(' ')).join('L')}" fill="none" stroke="${colour}" stroke-width="2.5"/>`,
        ...points.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`),
        text(76, 74 + 18 * index, name, `fill="${colour}" font-size="13" font-weight="600"`),
      ];
    }),
  ];
  return frame(height, title, content);
}

/** Bars of each row, one per column. What the others are compared with is grey: the first of several columns, or the model as it is. */
function bars({ title, yLabel }: Chart, labels: readonly string[], series: readonly Series[]): string {
  const marks = labels.flatMap((label, row) =>
    series.flatMap(({ name, values }, column) => {
      const value = values[row];
      const grey = series.length > 1 ? column === 0 : /^(dense|greedy)/.test(label);
      return value === undefined ? [] : [{ label: series.length > 1 ? `${label}: ${name}` : label, value, grey }];
    }),
  );
  const step = 30;
  const height = 60 + marks.length * step + 12;
  const known = marks.map(({ value }) => value);
  const low = Math.min(...known.filter((value) => value > 0));
  const high = Math.max(...known);
  // A span of over 30 times is drawn by its logarithm, and says so.
  const logarithmic = high / low > 30;
  const length = (value: number) =>
    Math.max(
      2,
      270 * (logarithmic ? Math.log(Math.max(value, low) / (low / 2)) / Math.log(high / (low / 2)) : value / high),
    );
  const content = marks.flatMap(({ label, value, grey }, index) => {
    const top = 60 + index * step;
    const size = Math.round(length(value));
    return [
      text(290, top + 14, label.length > 42 ? `${label.slice(0, 41)}…` : label, 'text-anchor="end" font-size="12"'),
      `<rect x="300" y="${top}" width="${size}" height="20" rx="3" fill="${grey ? '#888' : '#0d857b'}"/>`,
      text(306 + size, top + 14, value.toLocaleString('en', { maximumFractionDigits: 4 }), 'font-size="12"'),
    ];
  });
  return frame(height, title, [
    text(300, 48, logarithmic ? `${yLabel}, logarithmic` : yLabel, 'font-size="12"'),
    ...content,
  ]);
}

function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  return (value) => Math.round(10 * (from + ((Math.log(value) - low) / (high - low)) * (to - from))) / 10;
}

function powers(values: readonly number[]): number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [0.1, 1, 10, 100, 1000, 10_000].filter((value) => value >= low && value <= high);
}
