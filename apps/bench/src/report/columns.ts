import { qualityNames, type ResultRow } from '../result-file/types.ts';
import { formatBytes, formatMeasure, formatNumber, formatOptions, formatShare, grouped } from './format.ts';
import { contextLength, presentSpeeds, qualityTexts, timeTexts } from './metrics.ts';

/** One column of a result table. */
export interface Column {
  readonly header: string;
  readonly numeric: boolean;
  /** Empty where the row has nothing to say. */
  cell(row: ResultRow): string;
}

/** The columns for some rows: those of which at least one row has a value. */
export function columnsFor(rows: readonly ResultRow[]): readonly Column[] {
  const all: Column[] = [
    text('Method', (row) => row.method),
    text('Options', formatOptions),
    measured('Context', (row) => mapDefined(contextLength(row), grouped)),
    measured('Budget', (row) => mapDefined(row.budget ?? undefined, formatShare)),
    measured('Density', (row) => mapDefined(row.density ?? undefined, (value) => formatMeasure(value, formatShare))),
    measured('Density, window layers', (row) =>
      mapDefined(row.windowDensity, (value) => formatMeasure(value, formatShare)),
    ),
    text('Status', (row) => row.status),
    ...qualityColumns(),
    ...speedColumns(rows),
    measured('Peak memory', (row) => mapDefined(row.memory.peakBytes, (value) => formatMeasure(value, formatBytes))),
    measured('Cache', (row) => mapDefined(row.memory.cacheBytes, (value) => formatMeasure(value, formatBytes))),
    measured('of it window layers', (row) =>
      mapDefined(row.memory.windowCacheBytes, (value) => formatMeasure(value, formatBytes)),
    ),
    measured('Samples', (row) => (row.samples === 0 ? '' : grouped(row.samples))),
    text('Remark', (row) => row.message ?? ''),
  ];
  return all.filter((column) => rows.some((row) => column.cell(row) !== ''));
}

function qualityColumns(): Column[] {
  return qualityNames.map((name) => {
    const { label, form } = qualityTexts[name];
    const format = form === 'share' ? formatShare : formatNumber;
    return measured(label, (row) => mapDefined(row.quality[name], (value) => formatMeasure(value, format)));
  });
}

function speedColumns(rows: readonly ResultRow[]): Column[] {
  return presentSpeeds(rows).map((name) => {
    switch (name) {
      case 'speedup':
        return measured('Speed-up', (row) =>
          mapDefined(row.speed.speedup, (value) => formatMeasure(value, (ratio) => `${formatNumber(ratio)}x`)),
        );
      case 'tokensPerSecond':
        return measured('Tokens per second', (row) =>
          mapDefined(row.speed.tokensPerSecond, (value) => formatMeasure(value, formatNumber)),
        );
      case 'shareOfPeak':
        return measured('Share of peak', (row) =>
          mapDefined(row.speed.shareOfPeak, (value) => formatMeasure(value, formatShare)),
        );
      case 'shareOfPredicted':
        return measured('Share of predicted speed-up', (row) =>
          mapDefined(row.speed.shareOfPredicted, (value) => formatMeasure(value, formatShare)),
        );
      default:
        return measured(timeTexts[name], (row) =>
          mapDefined(row.speed[name], (value) => formatMeasure(value, formatNumber)),
        );
    }
  });
}

function text(header: string, cell: (row: ResultRow) => string): Column {
  return { header, numeric: false, cell };
}

function measured(header: string, cell: (row: ResultRow) => string): Column {
  return { header, numeric: true, cell };
}

function mapDefined<T>(value: T | undefined, format: (value: T) => string): string {
  return value === undefined ? '' : format(value);
}
