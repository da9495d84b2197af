import { crc32, deflateRawSync } from 'node:zlib';

/** Little-endian bytes, one value after another. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.length += bytes.byteLength;
    return this;
  }

  u16(value: number): this {
    return this.bytes(new Uint8Array(Uint16Array.of(value).buffer));
  }

  u32(value: number): this {
    return this.bytes(new Uint8Array(Uint32Array.of(value).buffer));
  }

  u64(value: number | bigint): this {
    return this.bytes(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  /** A string as GGUF has it: its length, then its bytes. */
  text(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(bytes.byteLength).bytes(bytes);
  }

  padTo(multiple: number): this {
    return this.bytes(new Uint8Array((multiple - (this.length % multiple)) % multiple));
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.byteLength;
    }
    return out;
  }
}

/** A tensor as GGUF's header has it: innermost dimension first, and the number of its type. */
export interface GgufTensor {
  readonly name: string;
  readonly dimensions: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

/** What a GGUF file is made of, so that a test can get any part of it wrong. */
export interface GgufParts {
  readonly version?: number;
  readonly tensors?: readonly GgufTensor[];
  /** Announced count, where it is not the true one. */
  readonly tensorCount?: number | bigint;
  readonly valueCount?: number | bigint;
  /** Key, number of the type, and what writes the value. */
  readonly values?: readonly (readonly [string, number, (writer: ByteWriter) => unknown])[];
  /** Bytes of tensors, or how many. */
  readonly data?: Uint8Array | number;
}

/** Bytes of a GGUF file, sound or not. */
export function ggufBytes({
  version = 3,
  tensors = [],
  values = [],
  data = 0,
  ...counts
}: GgufParts): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter().bytes(new TextEncoder().encode('GGUF')).u32(version);
  writer.u64(counts.tensorCount ?? tensors.length).u64(counts.valueCount ?? values.length);
  for (const [key, type, write] of values) {
    writer.text(key).u32(type);
    write(writer);
  }
  for (const { name, dimensions, type, offset } of tensors) {
    writer.text(name).u32(dimensions.length);
    for (const size of dimensions) writer.u64(size);
    writer.u32(type).u64(offset);
  }
  return writer.padTo(32).bytes(dataBytes(data)).finish();
}

function dataBytes(data: Uint8Array | number): Uint8Array {
  return typeof data === 'number' ? Uint8Array.from({ length: data }, (_, index) => index) : data;
}

/** Bytes of a safetensors file with any header, sound or not. */
export function safetensorsBytes(header: unknown, data: Uint8Array | number = 0): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  return new ByteWriter().u64(text.byteLength).bytes(text).bytes(dataBytes(data)).finish();
}

/** Bytes of a zip archive with one compressed file. */
export function zipBytes(name: string, content: Uint8Array, checksum = crc32(content)): Uint8Array<ArrayBuffer> {
  const deflate = 8;
  const title = new TextEncoder().encode(name);
  const packed = deflateRawSync(content);
  const fields = (writer: ByteWriter) =>
    writer
      .u16(20)
      .u16(0)
      .u16(deflate)
      .u16(0)
      .u16(0x21)
      .u32(checksum)
      .u32(packed.byteLength)
      .u32(content.byteLength)
      .u16(title.byteLength)
      .u16(0);
  const writer = new ByteWriter().u32(0x04034b50);
  fields(writer).bytes(title).bytes(packed);
  const directoryStart = writer.length;
  fields(writer.u32(0x02014b50).u16(20)).u16(0).u16(0).u16(0).u32(0).u32(0).bytes(title);
  const directoryBytes = writer.length - directoryStart;
  return writer.u32(0x06054b50).u16(0).u16(0).u16(1).u16(1).u32(directoryBytes).u32(directoryStart).u16(0).finish();
}
