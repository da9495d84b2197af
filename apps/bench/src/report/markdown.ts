import type { Registry } from '../registry.ts';
import type { PeerRow, ResultFile, ResultRow, UnmeasuredPeer } from '../result-file/types.ts';
import { columnsFor } from './columns.ts';
import { environmentFacts } from './environment-facts.ts';
import { describePeak, formatMeasure, formatPeakName, formatRate } from './format.ts';
import { type Group, groupRows } from './groups.ts';
import { peerColumns } from './peer-columns.ts';

/** A result file as Markdown: a table per scenario and model, the peaks of the adapter, the environment. */
export function markdownReport(file: ResultFile, registry: Registry): string {
  const { notice } = file.environment;
  const parts = [
    '# Saccade benchmark results',
    notice === undefined ? '' : `> **${notice}**`,
    groupTables(groupRows(file.results, registry)),
  ];
  if (file.roofline !== undefined) {
    const rows = file.roofline.peaks.map((peak) => [
      formatPeakName(peak),
      formatMeasure(peak.value, (rate) => formatRate(rate, peak.unit)),
      describePeak(peak),
    ]);
    parts.push('## Peaks of this adapter', markdownTable(['Peak', 'Reached', 'How'], rows, [false, true, false]));
  }
  const { peers = [], unmeasuredPeers = [] } = file;
  if (peers.length + unmeasuredPeers.length > 0) {
    parts.push('## Other engines on this adapter', peerTable(peers), unmeasuredPeersTable(unmeasuredPeers));
  }
  const facts = environmentFacts(file.environment).map(({ name, value }) => `- ${name}: ${value}`);
  parts.push('## Environment', facts.join('\n'));
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** The same work in other engines: over 1 x ours is faster. */
export function peerTable(rows: readonly PeerRow[]): string {
  if (rows.length === 0) return '';
  return markdownTable(
    peerColumns.map(({ header }) => header),
    rows.map((row) => peerColumns.map(({ cell }) => cell(row))),
    peerColumns.map(({ numeric }) => numeric),
  );
}

/** Works that engines refused or did not end; empty where there are none. */
export function unmeasuredPeersTable(rows: readonly UnmeasuredPeer[]): string {
  if (rows.length === 0) return '';
  const cells = rows.map(({ work, peer, status, reason }) => [work, peer, status, reason]);
  return markdownTable(['Work', 'Engine', 'Status', 'Reason'], cells, [false, false, false, false]);
}

/** The tables alone, as `run` prints them. */
export function markdownTables(rows: readonly ResultRow[], registry: Registry): string {
  return groupTables(groupRows(rows, registry));
}

function groupTables(groups: readonly Group[]): string {
  return groups
    .map(({ title, description, rows }) => {
      const columns = columnsFor(rows);
      const table = markdownTable(
        columns.map(({ header }) => header),
        rows.map((row) => columns.map((column) => column.cell(row))),
        columns.map(({ numeric }) => numeric),
      );
      return [`## ${title}`, description, table].filter((part) => part !== '').join('\n\n');
    })
    .join('\n\n');
}

/** An aligned Markdown table, readable as plain text too. */
function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  numeric: readonly boolean[],
): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')));
  const widths = header.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) => {
    const padded = widths.map((width, column) => {
      const cell = row[column] ?? '';
      return numeric[column] === true ? cell.padStart(width) : cell.padEnd(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, column) =>
    numeric[column] === true ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [line(cells[0] ?? []), line(rule), ...cells.slice(1).map(line)].join('\n');
}
