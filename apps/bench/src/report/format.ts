import { optionsToText } from '@saccade/core';
import type { Measure, ResultRow, RooflinePeak } from '../result-file/types.ts';

/** Centre and bounds of any measure; bounds are absent for a bare number. */
export interface Spread {
  readonly centre: number;
  readonly low?: number;
  readonly high?: number;
}

/** The centre of a measure and what is known about its spread. */
export function spreadOf(measure: Measure): Spread {
  if (typeof measure === 'number') return { centre: measure };
  if ('value' in measure) return { centre: measure.value, low: measure.low, high: measure.high };
  return { centre: measure.median, low: measure.p10, high: measure.p90 };
}

/** A number with about three significant digits, without exponents in the usual range. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || !Number.isFinite(value)) return String(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace('e+', 'e');
  if (size >= 100) return grouped(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** 0.051 as `5.1%`. */
export function formatShare(value: number): string {
  const percent = value * 100;
  return `${Number(percent.toFixed(Math.abs(percent) < 10 ? 1 : 0))}%`;
}

/** Bytes with a binary unit. */
export function formatBytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${Number((value / 1024 ** power).toPrecision(3))} ${units[power]}`;
}

/** 1.25e11 flop/s as `125 Gflop/s`; seconds as microseconds. */
export function formatRate(value: number, unit: string): string {
  if (unit === 's') return `${formatNumber(value * 1e6)} us`;
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P'];
  const power = value < 1 ? 0 : Math.min(prefixes.length - 1, Math.floor(Math.log10(value) / 3));
  return `${Number((value / 1000 ** power).toPrecision(3))} ${prefixes[power]}${unit}`;
}

/** A peak's name with its working set, which bandwidth depends on. */
export function formatPeakName({ name, workingSetBytes }: RooflinePeak): string {
  return workingSetBytes === undefined ? name : `${name}, ${formatBytes(workingSetBytes)}`;
}

/** How a peak was measured, and what the processor could do in theory. */
export function describePeak({ description, theoretical, unit }: RooflinePeak): string {
  if (!theoretical) return description;
  return `${description} (in theory ${formatRate(theoretical.value, unit)}: ${theoretical.assumption})`;
}

/** Integers with thin groups of three, as in 1,024. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** A measure as `centre [low, high]`. */
export function formatMeasure(measure: Measure, format: (value: number) => string): string {
  const { centre, low, high } = spreadOf(measure);
  if (low === undefined || high === undefined) return format(centre);
  return `${format(centre)} [${format(low)}, ${format(high)}]`;
}

/** The options of a row as the command line takes them; the context length has its own column. */
export function formatOptions(row: ResultRow): string {
  const { contextLength: _, ...options } = row.options;
  return optionsToText(options).replaceAll(',', ', ');
}
