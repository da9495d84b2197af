import { quote } from '../quote.ts';
import type { ByteSource, WeightDtype, WeightFile } from '../types.ts';
import { WeightFileError } from '../weight-file-error.ts';
import { type UnsupportedEntry, type WeightEntry, weightBytes, weightTable } from '../weight-table.ts';

/** Longest header that the format allows. */
const maximumHeaderBytes = 100_000_000;

/** More than any network's tensors have. */
const maximumDimensions = 8;

const supportedTypes = new Map<string, WeightDtype>([
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
]);

/** What one safetensors file holds. */
export interface SafetensorsContent {
  readonly metadata: Map<string, string>;
  readonly entries: Map<string, WeightEntry | UnsupportedEntry>;
}

/**
 * Opens a safetensors file. Tensors of unsupported types are refused when they are asked for.
 *
 * Source: the format's description, https://github.com/huggingface/safetensors#format
 * @throws WeightFileError `not-a-weight-file`, `truncated`, `corrupt`
 */
export async function openSafetensors(source: ByteSource): Promise<WeightFile> {
  const { metadata, entries } = await readSafetensors(source);
  return weightTable('safetensors', metadata, entries, [source]);
}

/** Reads and checks the header of one file. */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsContent> {
  if (source.size < 8) throw new WeightFileError('not-a-weight-file', `${source.name} has only ${source.size} bytes.`);
  const announced = new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true);
  if (announced > maximumHeaderBytes || announced < 2) {
    throw new WeightFileError(
      'not-a-weight-file',
      `${source.name} begins neither as a GGUF file nor as a safetensors file.`,
    );
  }
  const headerBytes = Number(announced);
  const dataStart = 8 + headerBytes;
  if (dataStart > source.size) {
    throw new WeightFileError(
      'truncated',
      `${source.name} has ${source.size} bytes, but its header ends at ${dataStart}.`,
    );
  }
  const header = parseHeader(source, await source.read(8, headerBytes));
  const metadata = readMetadata(source, header.__metadata__);
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return { metadata, entries: placeTensors(source, tensors, dataStart) };
}

function parseHeader(source: ByteSource, bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw corrupt(source, 'its header is not JSON', cause);
  }
  if (!isRecord(header)) throw corrupt(source, 'its header is not an object');
  return header;
}

function readMetadata(source: ByteSource, value: unknown = {}): Map<string, string> {
  if (!isRecord(value)) throw corrupt(source, 'its __metadata__ is not an object');
  return new Map(
    Object.entries(value).map(([key, text]) => {
      if (typeof text !== 'string') throw corrupt(source, `its __metadata__ has no text for ${quote(key)}`);
      return [key, text];
    }),
  );
}

function placeTensors(
  source: ByteSource,
  tensors: readonly (readonly [string, unknown])[],
  dataStart: number,
): Map<string, WeightEntry | UnsupportedEntry> {
  const parsed = tensors.map(([name, value]) => parseTensor(source, name, value));
  parsed.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const entries = new Map<string, WeightEntry | UnsupportedEntry>();
  let end = 0;
  for (const tensor of parsed) {
    const name = tensor.name;
    // The format allows neither holes nor overlaps, which also tells of a name that occurs twice.
    if (tensor.begin !== end) throw corrupt(source, `the tensor ${quote(name)} does not begin where the last one ends`);
    end = tensor.end;
    const byteLength = tensor.end - tensor.begin;
    const dtype = supportedTypes.get(tensor.dtype);
    if (!dtype) {
      entries.set(name, { storedName: name, dtype: tensor.dtype.slice(0, 40) });
      continue;
    }
    if (weightBytes(dtype, tensor.shape) !== byteLength) {
      throw corrupt(
        source,
        `the tensor ${quote(name)} has ${byteLength} bytes, which [${tensor.shape}] as ${dtype} has not`,
      );
    }
    const info = { name, storedName: name, shape: tensor.shape, dtype, byteLength };
    entries.set(name, { info, source, offset: dataStart + tensor.begin });
  }
  const available = source.size - dataStart;
  if (end > available) {
    throw new WeightFileError(
      'truncated',
      `${source.name} has ${available} bytes of tensors, but its header announces ${end}.`,
    );
  }
  if (end < available) throw corrupt(source, `it has ${available - end} bytes that belong to no tensor`);
  return entries;
}

interface ParsedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseTensor(source: ByteSource, name: string, value: unknown): ParsedTensor {
  if (isRecord(value)) {
    const { dtype, shape, data_offsets: offsets } = value;
    if (typeof dtype === 'string' && isCounts(shape) && shape.length <= maximumDimensions && isCounts(offsets)) {
      const [begin = -1, end = -1, ...rest] = offsets;
      if (begin >= 0 && end >= begin && rest.length === 0) return { name, dtype, shape, begin, end };
    }
  }
  throw corrupt(source, `the tensor ${quote(name)} has no sound type, shape and offsets`);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function corrupt(source: ByteSource, reason: string, cause?: unknown): WeightFileError {
  return new WeightFileError('corrupt', `${source.name} is corrupt: ${reason}.`, { cause });
}
