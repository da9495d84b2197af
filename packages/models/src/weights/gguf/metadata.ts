import type { MetadataValue } from '../types.ts';
import { WeightFileError } from '../weight-file-error.ts';
import type { HeaderCursor } from './header-cursor.ts';

/** Deepest nesting of arrays; files in use nest none. */
const maximumDepth = 4;

/** Longer than any vocabulary: an element takes more memory than its bytes in the file. */
const maximumElements = 2 ** 24;

/** Values of fixed size by GGUF's type code: their bytes, and how they are read. */
const scalars = new Map<number, { readonly bytes: number; readonly read: (cursor: HeaderCursor) => MetadataValue }>([
  [0, { bytes: 1, read: (cursor) => cursor.u8() }],
  [1, { bytes: 1, read: (cursor) => cursor.i8() }],
  [2, { bytes: 2, read: (cursor) => cursor.u16() }],
  [3, { bytes: 2, read: (cursor) => cursor.i16() }],
  [4, { bytes: 4, read: (cursor) => cursor.u32() }],
  [5, { bytes: 4, read: (cursor) => cursor.i32() }],
  [6, { bytes: 4, read: (cursor) => cursor.f32() }],
  [7, { bytes: 1, read: (cursor) => cursor.u8() !== 0 }],
  [10, { bytes: 8, read: (cursor) => cursor.u64() }],
  [11, { bytes: 8, read: (cursor) => cursor.i64() }],
  [12, { bytes: 8, read: (cursor) => cursor.f64() }],
]);
const stringType = 8;
const arrayType = 9;

/** Reads one length-prefixed string. */
export async function readString(cursor: HeaderCursor): Promise<string> {
  await cursor.require(8);
  const bytes = cursor.count('bytes in a string');
  await cursor.require(bytes);
  return cursor.text(bytes);
}

/** Reads one value of the given type. @throws WeightFileError `corrupt`, `truncated` */
export async function readValue(cursor: HeaderCursor, type: number, depth = 0): Promise<MetadataValue> {
  const scalar = scalars.get(type);
  if (scalar) {
    await cursor.require(scalar.bytes);
    return scalar.read(cursor);
  }
  if (type === stringType) return readString(cursor);
  if (type === arrayType) return readArray(cursor, depth);
  throw new WeightFileError('corrupt', `${cursor.file}: the metadata holds a value of the unknown type ${type}.`);
}

async function readArray(cursor: HeaderCursor, depth: number): Promise<MetadataValue[]> {
  if (depth === maximumDepth) {
    throw new WeightFileError('corrupt', `${cursor.file}: the metadata nests arrays more than ${maximumDepth} deep.`);
  }
  await cursor.require(12);
  const type = cursor.u32();
  const count = cursor.count('elements in an array');
  // The least that each element takes: a string its length, an array its type and length.
  const elementBytes = scalars.get(type)?.bytes ?? (type === arrayType ? 12 : 8);
  if (count > cursor.remaining / elementBytes) {
    throw new WeightFileError(
      'truncated',
      `${cursor.file}: the metadata announces an array of ${count} elements, more than the file holds.`,
    );
  }
  if (count > maximumElements) {
    throw new WeightFileError('corrupt', `${cursor.file}: the metadata announces an array of ${count} elements.`);
  }
  const values: MetadataValue[] = [];
  const scalar = scalars.get(type);
  for (let index = 0; index < count; index++) {
    if (scalar) {
      if (!cursor.holds(scalar.bytes)) await cursor.require(scalar.bytes);
      values.push(scalar.read(cursor));
    } else if (type === stringType) {
      // Vocabularies have 100,000 strings: nothing is awaited while the window holds the next one.
      if (!cursor.holds(8)) await cursor.require(8);
      const bytes = cursor.count('bytes in a string');
      if (!cursor.holds(bytes)) await cursor.require(bytes);
      values.push(cursor.text(bytes));
    } else {
      values.push(await readValue(cursor, type, depth + 1));
    }
  }
  return values;
}
