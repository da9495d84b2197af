import { quote } from '../quote.ts';
import type { ByteSource, MetadataValue, WeightDtype, WeightFile } from '../types.ts';
import { WeightFileError } from '../weight-file-error.ts';
import { unsupportedType, type WeightEntry, weightBytes, weightTable } from '../weight-table.ts';
import { canonicalName } from './gguf-names.ts';
import { HeaderCursor } from './header-cursor.ts';
import { readString, readValue } from './metadata.ts';

/** The four bytes `GGUF`, as a little-endian number. */
export const ggufMagic = 0x46554747;

/** Types by their number in ggml. */
const supportedTypes = new Map<number, WeightDtype>([
  [0, 'f32'],
  [1, 'f16'],
  [2, 'q4_0'],
  [3, 'q4_1'],
  [6, 'q5_0'],
  [7, 'q5_1'],
  [8, 'q8_0'],
  [10, 'q2_k'],
  [11, 'q3_k'],
  [12, 'q4_k'],
  [13, 'q5_k'],
  [14, 'q6_k'],
  [20, 'iq4_nl'],
  [30, 'bf16'],
]);

/** Names of the types that are not supported, for messages. */
const otherTypes = new Map<number, string>([
  [9, 'Q8_1'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [39, 'MXFP4'],
]);

/** More tensors or metadata values than any model has: each takes more memory than its bytes in the file. */
const maximumEntries = 2 ** 20;

/** A tensor as the header announces it; the offset counts from the beginning of the data. */
interface Announced {
  readonly storedName: string;
  readonly shape: readonly number[];
  readonly dtype: WeightDtype;
  readonly offset: number;
}

/**
 * Opens a GGUF file (versions 2 and 3, little-endian): reads and checks its header; tensors are read on demand.
 *
 * Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * @throws WeightFileError `not-a-weight-file`, `truncated`, `corrupt`, `unsupported`, `unsupported-type`
 */
export async function openGguf(source: ByteSource): Promise<WeightFile> {
  const cursor = new HeaderCursor(source);
  const { tensorCount, valueCount } = await readPreamble(cursor, source);
  const metadata = await readMetadata(cursor, source, valueCount);
  const announced = await readTensors(cursor, source, tensorCount);

  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw corrupt(source, `its alignment is ${quote(alignment)}, not a power of two`);
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const architecture = String(metadata.get('general.architecture'));
  const entries = placeTensors(announced, architecture, source, dataStart, alignment);
  return weightTable('gguf', metadata, entries, [source]);
}

async function readPreamble(
  cursor: HeaderCursor,
  source: ByteSource,
): Promise<{ tensorCount: number; valueCount: number }> {
  if (source.size < 8) throw new WeightFileError('not-a-weight-file', `${source.name} has only ${source.size} bytes.`);
  await cursor.require(8);
  if (cursor.u32() !== ggufMagic) throw new WeightFileError('not-a-weight-file', `${source.name} is not a GGUF file.`);
  const version = cursor.u32();
  if ((version & 0xffff) === 0) throw new WeightFileError('unsupported', `${source.name} is a big-endian GGUF file.`);
  if (version !== 2 && version !== 3) {
    throw new WeightFileError(
      'unsupported',
      `${source.name} is a GGUF file of version ${version}; supported are 2 and 3.`,
    );
  }
  await cursor.require(16);
  const tensorCount = cursor.count('tensors');
  const valueCount = cursor.count('metadata values');
  // A tensor takes at least its name's length, dimensions, type and offset; a value its key's length, type and a byte.
  if (tensorCount > cursor.remaining / 24 || valueCount > cursor.remaining / 13) {
    throw new WeightFileError(
      'truncated',
      `${source.name} announces ${tensorCount} tensors and ${valueCount} metadata values, more than its ${source.size} bytes hold.`,
    );
  }
  if (tensorCount > maximumEntries || valueCount > maximumEntries) {
    throw corrupt(source, `it announces ${tensorCount} tensors and ${valueCount} metadata values`);
  }
  return { tensorCount, valueCount };
}

async function readMetadata(
  cursor: HeaderCursor,
  source: ByteSource,
  count: number,
): Promise<Map<string, MetadataValue>> {
  const metadata = new Map<string, MetadataValue>();
  for (let index = 0; index < count; index++) {
    const key = await readString(cursor);
    if (metadata.has(key)) throw corrupt(source, `its metadata has ${quote(key)} twice`);
    await cursor.require(4);
    metadata.set(key, await readValue(cursor, cursor.u32()));
  }
  return metadata;
}

async function readTensors(cursor: HeaderCursor, source: ByteSource, count: number): Promise<Announced[]> {
  const tensors: Announced[] = [];
  for (let index = 0; index < count; index++) {
    const storedName = await readString(cursor);
    await cursor.require(4);
    const dimensions = cursor.u32();
    if (dimensions < 1 || dimensions > 4)
      throw corrupt(source, `the tensor ${quote(storedName)} has ${dimensions} dimensions`);
    await cursor.require(8 * dimensions + 12);
    const shape: number[] = [];
    // GGUF lists the innermost dimension first.
    for (let axis = 0; axis < dimensions; axis++) shape.unshift(cursor.count('elements along one dimension'));
    const type = cursor.u32();
    const offset = cursor.count('bytes before a tensor');
    const dtype = supportedTypes.get(type);
    if (!dtype) {
      const name = otherTypes.get(type) ?? `number ${type}`;
      throw new WeightFileError('unsupported-type', unsupportedType(source.name, { storedName, dtype: name }));
    }
    tensors.push({ storedName, shape, dtype, offset });
  }
  return tensors;
}

function placeTensors(
  announced: readonly Announced[],
  architecture: string,
  source: ByteSource,
  dataStart: number,
  alignment: number,
): Map<string, WeightEntry> {
  const entries = new Map<string, WeightEntry>();
  let end = dataStart;
  for (const { storedName, shape, dtype, offset } of [...announced].sort((a, b) => a.offset - b.offset)) {
    const quoted = quote(storedName);
    const name = canonicalName(architecture, storedName);
    const byteLength = weightBytes(dtype, shape);
    if (!byteLength) throw corrupt(source, `the tensor ${quoted} cannot have the shape [${shape}] as ${dtype}`);
    const start = dataStart + offset;
    if (start < end || offset % alignment !== 0) {
      throw corrupt(source, `the tensor ${quoted} begins at ${start}, inside another or out of line`);
    }
    end = start + byteLength;
    if (end > source.size) {
      throw new WeightFileError(
        'truncated',
        `${source.name} has ${source.size} bytes, but the tensor ${quoted} ends at ${end}.`,
      );
    }
    if (entries.has(name)) throw corrupt(source, `it has the tensor ${quoted} twice`);
    entries.set(name, { info: { name, storedName, shape, dtype, byteLength }, source, offset: start });
  }
  return entries;
}

function corrupt(source: ByteSource, reason: string): WeightFileError {
  return new WeightFileError('corrupt', `${source.name} is corrupt: ${reason}.`);
}
