import type { Registry } from '../registry.ts';
import type { PeerRow, Picture, ResultFile, ResultRow, Roofline, UnmeasuredPeer } from '../result-file/types.ts';
import { type Chart, chartsFor, denseSeries } from './charts.ts';
import { type Column, columnsFor } from './columns.ts';
import { adapterName, environmentFacts } from './environment-facts.ts';
import { describePeak, formatMeasure, formatPeakName, formatRate } from './format.ts';
import { type Group, groupRows } from './groups.ts';
import { headlinesOf } from './headlines.ts';
import { heatmapSvg } from './heatmap.ts';
import { peerColumns } from './peer-columns.ts';
import { styleSheet } from './style.ts';
import { chartSvg, legendSvg, type SeriesStyle, styleSeries } from './svg.ts';

/** A result file as one page that needs no network: what was found, plots, every row, and where it was measured. */
export function htmlReport(file: ResultFile, registry: Registry): string {
  const groups = groupRows(file.results, registry);
  const { environment } = file;
  const where = environment.adapter === null ? '' : ` on ${adapterName(environment.adapter)}`;
  const headlines = headlinesOf(groups);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Saccade benchmark results</title>
<style>${styleSheet}</style>
</head>
<body>
<h1>Saccade benchmark results</h1>
<p>A transformer spends much of its time on attention: every new token looks at all earlier ones. The methods here make it
look only where the information is. This page compares them with the full, “dense” computation: what it costs in quality
and what it saves in time and memory.</p>
${environment.notice === undefined ? '' : `<p class="notice" role="note">${escapeHtml(environment.notice)}</p>`}
<p class="soft">Measured ${escapeHtml(environment.date.slice(0, 16).replace('T', ' '))} UTC${escapeHtml(where)}.${
    environment.quick ? ' A quick run: shorter and with fewer repeats, so less certain than a full one.' : ''
  }</p>
${headlines.length === 0 ? '' : `<ul class="headline">${headlines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`}
${guide}
${groups.map((group) => groupSection(group, file.pictures ?? [])).join('\n')}
${peersSection(file.peers ?? [], file.unmeasuredPeers ?? [])}
${file.roofline === undefined ? '' : rooflineSection(file.roofline)}
<h2>Where and how this was measured</h2>
<dl>${environmentFacts(environment)
    .map(({ name, value }) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`)
    .join('')}</dl>
</body>
</html>
`;
}

const guide = `<details><summary>How to read this page</summary>
<dl>
<dt>Dense</dt><dd>The model without any method. Every other row is compared with it.</dd>
<dt>Budget</dt><dd>The share of the context that a method was allowed to read.</dd>
<dt>Density</dt><dd>The share that it did read, measured.</dd>
<dt>Baselines</dt><dd>Plain competitors at the same budget: random tokens, the first few and the most recent ones, or those that gathered
most attention so far. A method is worth its trouble only if it beats them.</dd>
<dt>Oracle</dt><dd>Picks the best tokens with knowledge that costs as much as dense attention: an upper bound, no shortcut.</dd>
<dt>a [b, c]</dt><dd>For sampled quantities and ratios: the value and its 95% interval. For times: the median and the 10th and 90th percentile.</dd>
<dt>Status</dt><dd>“dense fails”: the task is too hard for the model itself, so the row says nothing about the method.
“refused”: method and model do not fit.</dd>
</dl></details>`;

function groupSection(group: Group, pictures: readonly Picture[]): string {
  const charts = chartsFor(group);
  const dense = denseSeries(group);
  const styles = styleSeries([...new Set(charts.flatMap(({ series }) => series))], dense);
  return `<section>
<h2>${escapeHtml(group.title)}</h2>
<p>${escapeHtml(group.description)}</p>
<p class="soft"><code>${escapeHtml(group.scenario)}</code></p>
${charts.map((chart) => figure(chart, styles)).join('\n')}
${pictures
  .filter(({ scenario, model }) => scenario === group.scenario && model === group.model)
  .map(pictureFigure)
  .join('\n')}
<h3>All measurements</h3>
${rowTable(group.rows)}
</section>`;
}

function figure(chart: Chart, styles: ReadonlyMap<string, SeriesStyle>): string {
  const legend = chart.series.flatMap((name) => {
    const style = styles.get(name);
    return style === undefined ? [] : [`<li>${legendSvg(style)}<span>${escapeHtml(name)}</span></li>`];
  });
  return `<figure>
<figcaption><strong>${escapeHtml(chart.title)}</strong>${escapeHtml(chart.caption)}</figcaption>
<ul class="legend">${legend.join('')}</ul>
<div class="axis">${escapeHtml(chart.yLabel)}</div>
<div class="chart">${chartSvg(chart, styles)}</div>
<div class="axis x">${escapeHtml(chart.xLabel)}</div>
</figure>`;
}

function pictureFigure(picture: Picture): string {
  if ('png' in picture) {
    const grid = `columns: ${picture.columns.join(', ')}; rows: ${picture.rows.join(', ')}`;
    return `<figure>
<figcaption><strong>${escapeHtml(picture.title)}</strong>${escapeHtml(picture.caption)}</figcaption>
<img class="grid" src="data:image/png;base64,${picture.png}" alt="${escapeHtml(`${picture.title}; ${grid}`)}">
<p class="soft">${escapeHtml(`From left to right: ${picture.columns.join(', ')}. From top to bottom: ${picture.rows.join(', ')}.`)}</p>
</figure>`;
  }
  return `<figure>
<figcaption><strong>${escapeHtml(picture.title)}</strong>${escapeHtml(picture.caption)}</figcaption>
<div class="axis">${escapeHtml(picture.yLabel)}</div>
<div class="chart">${heatmapSvg(picture)}</div>
<div class="axis x">${escapeHtml(picture.xLabel)}</div>
</figure>`;
}

function rowTable(rows: readonly ResultRow[]): string {
  const columns = columnsFor(rows);
  const head = columns.map(
    ({ header, numeric }) => `<th${numeric ? ' class="number"' : ''}>${escapeHtml(header)}</th>`,
  );
  const body = rows.map(
    (row) =>
      `<tr${row.method === 'dense' ? ' class="dense"' : ''}>${columns.map((column) => cell(column, row)).join('')}</tr>`,
  );
  return `<div class="table"><table><thead><tr>${head.join('')}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}

const statusClasses = { ok: 'status-ok', 'dense fails': 'status-warn', refused: 'status-warn', failed: 'status-bad' };

function cell(column: Column, row: ResultRow): string {
  const text = escapeHtml(column.cell(row));
  if (column.header === 'Status') return `<td class="${statusClasses[row.status]}">${text}</td>`;
  if (column.header === 'Options' || column.header === 'Remark') return `<td class="wide">${text}</td>`;
  if (!column.numeric) return `<td>${text}</td>`;
  // The interval steps back behind the value.
  return `<td class="number">${text.replace(/ (\[.*\])$/, ' <small>$1</small>')}</td>`;
}

function rooflineSection(roofline: Roofline): string {
  const rows = roofline.peaks.map(
    (peak) =>
      `<tr><td>${escapeHtml(formatPeakName(peak))}</td><td class="number">${escapeHtml(formatMeasure(peak.value, (rate) => formatRate(rate, peak.unit)))}</td><td class="wide">${escapeHtml(describePeak(peak))}</td></tr>`,
  );
  return `<h2>Peaks of this adapter</h2>
<p>The highest rates that kernels of our own reached here. “Share of peak” in the tables is measured against them.</p>
<div class="table"><table><thead><tr><th>Peak</th><th class="number">Reached</th><th>How</th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table></div>`;
}

function peersSection(peers: readonly PeerRow[], unmeasured: readonly UnmeasuredPeer[]): string {
  if (peers.length + unmeasured.length === 0) return '';
  const head = peerColumns.map(({ header, numeric }) => `<th${numeric ? ' class="number"' : ''}>${header}</th>`);
  const rows = peers.map((row) => {
    const cells = peerColumns.map(
      ({ cell, numeric }) => `<td class="${numeric ? 'number' : 'wide'}">${escapeHtml(cell(row))}</td>`,
    );
    return `<tr>${cells.join('')}</tr>`;
  });
  return `<h2>Other engines on this adapter</h2>
<p>The same work, timed alternately in one run; over 1x this project is faster. Errors are against f64.</p>
<div class="table"><table><thead><tr>${head.join('')}</tr></thead><tbody>
${rows.join('\n')}
</tbody></table></div>
${unmeasured.length === 0 ? '' : unmeasuredSection(unmeasured)}`;
}

/** What engines refused or did not end. */
function unmeasuredSection(unmeasured: readonly UnmeasuredPeer[]): string {
  const rows = unmeasured.map(({ work, peer, status, reason }) => {
    const cells = [work, peer, status, reason].map((text) => `<td class="wide">${escapeHtml(text)}</td>`);
    return `<tr>${cells.join('')}</tr>`;
  });
  return `<p>Without times:</p>
<div class="table"><table><thead><tr><th>Work</th><th>Engine</th><th>Status</th><th>Reason</th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table></div>`;
}

/** Text for HTML content and attribute values. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
