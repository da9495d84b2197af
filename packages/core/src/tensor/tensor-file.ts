import { ArgumentError } from '../errors.ts';
import { bytesPerElement, encodeElements, type HostArray, type PlainDtype } from './dtype.ts';
import { elementCount, type Shape } from './shape.ts';

/** A tensor in a file: raw little-endian elements. */
export interface FileTensor {
  readonly dtype: PlainDtype;
  readonly shape: Shape;
  readonly bytes: Uint8Array;
}

/** Named tensors and a text, as the safetensors format keeps them. The text is empty in files from elsewhere. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, FileTensor>;
  readonly note: string;
}

const codes: Readonly<Record<PlainDtype, string>> = { f32: 'F32', f16: 'F16', bf16: 'BF16', i32: 'I32', u32: 'U32' };
const noteKey = 'saccade';

/** The bytes of a tensor from the numbers that were read: f16 and bf16, which are read as f32, come out as they were. */
export function fileTensor(data: HostArray, dtype: PlainDtype, shape: Shape): FileTensor {
  const bytes = encodeElements(data, dtype).subarray(0, elementCount(shape) * bytesPerElement[dtype]);
  return { dtype, shape: [...shape], bytes };
}

/** A safetensors file: the length of a JSON header in 8 bytes, the header, the tensors. */
export function writeTensorFile({ tensors, note }: TensorFile): Uint8Array {
  let end = 0;
  const entries: Record<string, unknown> = { __metadata__: { [noteKey]: note } };
  for (const [name, { dtype, shape, bytes }] of tensors) {
    const start = end;
    end += bytes.byteLength;
    entries[name] = { dtype: codes[dtype], shape, data_offsets: [start, end] };
  }
  const text = JSON.stringify(entries);
  // The format wants data to start at a multiple of eight.
  const header = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + header.byteLength + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.byteLength), true);
  file.set(header, 8);
  let at = 8 + header.byteLength;
  for (const { bytes } of tensors.values()) {
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}

/** 64-bit integers as 32-bit ones; undefined where one does not fit. */
function lowWords(bytes: Uint8Array): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = Array.from({ length: bytes.byteLength / 8 }, (_, at) => Number(view.getBigInt64(8 * at, true)));
  return numbers.every((each) => each === (each | 0)) ? encodeElements(numbers, 'i32') : undefined;
}

/** The tensors of a safetensors file, 64-bit integers (counts in PyTorch's state dicts) as i32. @throws ArgumentError, called `argument`, for anything else, also for other dtypes */
export function readTensorFile(argument: string, file: Uint8Array): TensorFile {
  const fail = (what: string): never => {
    throw new ArgumentError(argument, what, 'a safetensors file, whole and unchanged');
  };
  if (file.byteLength < 8) return fail(`${file.byteLength} bytes`);
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (headerBytes > file.byteLength - 8) return fail(`a header of ${headerBytes} bytes in ${file.byteLength} bytes`);
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)));
  } catch {
    return fail('a header that is not JSON');
  }
  const { __metadata__: metadata, ...entries } = (header ?? {}) as Record<string, Record<string, unknown>>;
  const text = metadata?.[noteKey];
  const note = typeof text === 'string' ? text : '';
  const data = file.subarray(8 + headerBytes);
  const tensors = new Map<string, FileTensor>();
  for (const [name, entry] of Object.entries(entries)) {
    const wide = entry?.dtype === 'I64';
    const dtype = wide ? 'i32' : (Object.keys(codes) as PlainDtype[]).find((own) => codes[own] === entry?.dtype);
    const { shape, data_offsets: offsets } = (entry ?? {}) as { shape?: unknown; data_offsets?: unknown };
    if (!dtype || !isCounts(shape) || !isCounts(offsets)) return fail(`a tensor ${name} that is not described`);
    const [start = 0, end = 0] = offsets;
    const size = elementCount(shape) * (wide ? 8 : bytesPerElement[dtype]);
    if (end - start !== size || end > data.byteLength)
      return fail(`${end - start} bytes for ${name} ${dtype}[${shape}]`);
    const bytes = data.subarray(start, end);
    const narrowed = wide ? lowWords(bytes) : bytes;
    if (!narrowed) return fail(`64-bit integers in ${name} that do not fit into 32 bits`);
    tensors.set(name, { dtype, shape, bytes: narrowed });
  }
  return { tensors, note };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}
