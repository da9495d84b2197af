import { ArgumentError, blockSizes } from '@saccade/core';
import { quote } from './quote.ts';
import type { ByteSource, MetadataValue, RowRange, WeightDtype, WeightFile, WeightInfo } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';

/** Where a tensor's bytes are. */
export interface WeightEntry {
  readonly info: WeightInfo;
  readonly source: ByteSource;
  readonly offset: number;
}

/** A tensor that the file has but whose element type is not supported; it is refused when it is asked for. */
export interface UnsupportedEntry {
  readonly storedName: string;
  readonly dtype: string;
}

/** Bytes and elements of a dtype's smallest unit. */
export const weightUnits: Readonly<Record<WeightDtype, { readonly elements: number; readonly bytes: number }>> = {
  f32: { elements: 1, bytes: 4 },
  f16: { elements: 1, bytes: 2 },
  bf16: { elements: 1, bytes: 2 },
  ...blockSizes,
};

/**
 * Bytes of a tensor in a file.
 * @returns undefined for a shape that no file can hold: dimensions that are not whole numbers, more bytes than a
 * number counts exactly, or rows that are not whole blocks.
 */
export function weightBytes(dtype: WeightDtype, shape: readonly number[]): number | undefined {
  const unit = weightUnits[dtype];
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return undefined;
  const elements = shape.reduce((product, size) => product * size, 1);
  const bytes = (elements / unit.elements) * unit.bytes;
  const wholeRows = (shape.at(-1) ?? 1) % unit.elements === 0;
  return wholeRows && Number.isSafeInteger(elements) && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A weight file over checked entries; the keys are canonical names. */
export function weightTable(
  format: WeightFile['format'],
  metadata: ReadonlyMap<string, MetadataValue>,
  entries: ReadonlyMap<string, WeightEntry | UnsupportedEntry>,
  sources: readonly ByteSource[],
): WeightFile {
  const files = sources.map((source) => source.name).join(', ');
  let closed = false;
  const find = (name: string): WeightEntry => {
    const entry = entries.get(name);
    if (!entry) throw new WeightFileError('not-found', `${files} has no tensor ${quote(name)}.`);
    if ('info' in entry) return entry;
    throw new WeightFileError('unsupported-type', unsupportedType(files, entry));
  };
  return {
    format,
    metadata,
    tensorNames: () => [...entries.keys()],
    has: (name) => entries.has(name),
    info: (name) => find(name).info,
    async read(name, rows) {
      const { info, source, offset } = find(name);
      if (closed) throw new WeightFileError('closed', `${files} was closed before ${name} was read.`);
      if (!rows) return source.read(offset, info.byteLength);
      const { start, end } = byteRange(info, rows);
      return source.read(offset + start, end - start);
    },
    async close() {
      if (closed) return;
      closed = true;
      await Promise.all(sources.map((source) => source.close()));
    },
  };
}

/** The bytes of rows within a tensor. @throws ArgumentError */
export function byteRange({ name, shape, dtype, byteLength }: WeightInfo, rows: RowRange): RowRange {
  const [total = 1] = shape;
  const rowBytes = byteLength / Math.max(total, 1);
  const sound = Number.isInteger(rows.start) && Number.isInteger(rows.end) && rows.start >= 0 && rows.end <= total;
  const range = { start: rows.start * rowBytes, end: rows.end * rowBytes };
  if (!sound || rows.start > rows.end || !Number.isInteger(range.start) || !Number.isInteger(range.end)) {
    throw new ArgumentError(`rows of ${name}`, rows, `whole rows of ${dtype}[${shape}]`);
  }
  return range;
}

/** Message about a tensor type that is not supported. */
export function unsupportedType(file: string, { storedName, dtype }: UnsupportedEntry): string {
  return `${file}: the tensor ${quote(storedName)} has the type ${dtype}; supported are ${Object.keys(weightUnits).join(', ')}.`;
}
