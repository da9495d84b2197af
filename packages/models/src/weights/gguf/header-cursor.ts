import { truncated } from '../blob-source.ts';
import type { ByteSource } from '../types.ts';
import { WeightFileError } from '../weight-file-error.ts';

/** Bytes that are read ahead. */
const windowBytes = 1 << 18;

/**
 * Reads little-endian values one after another from a file, through a window of it.
 *
 * Reads are synchronous once `require` has brought in the bytes. The window never exceeds the file, whatever lengths the
 * file announces: a length that passes the end is an error before anything is allocated.
 */
export class HeaderCursor {
  readonly #source: ByteSource;
  // Tokens may begin with U+FEFF, which is text here.
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  #window = new DataView(new ArrayBuffer(0));
  #windowStart = 0;
  #at = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Name of the file, for messages. */
  get file(): string {
    return this.#source.name;
  }

  /** Offset in the file of the next byte. */
  get position(): number {
    return this.#windowStart + this.#at;
  }

  /** Bytes from here to the end of the file. */
  get remaining(): number {
    return this.#source.size - this.position;
  }

  /** Whether the next `bytes` are in the window; if not, `require` must be awaited. */
  holds(bytes: number): boolean {
    return this.#window.byteLength - this.#at >= bytes;
  }

  /** @throws WeightFileError `truncated` where the file ends before */
  async require(bytes: number): Promise<void> {
    if (this.holds(bytes)) return;
    const { position, remaining } = this;
    if (bytes > remaining) throw truncated(this.#source.name, position, bytes, this.#source.size);
    const window = await this.#source.read(position, Math.min(remaining, Math.max(bytes, windowBytes)));
    this.#window = new DataView(window.buffer, window.byteOffset, window.byteLength);
    this.#windowStart = position;
    this.#at = 0;
  }

  u8(): number {
    return this.#window.getUint8(this.#advance(1));
  }

  i8(): number {
    return this.#window.getInt8(this.#advance(1));
  }

  u16(): number {
    return this.#window.getUint16(this.#advance(2), true);
  }

  i16(): number {
    return this.#window.getInt16(this.#advance(2), true);
  }

  u32(): number {
    return this.#window.getUint32(this.#advance(4), true);
  }

  i32(): number {
    return this.#window.getInt32(this.#advance(4), true);
  }

  f32(): number {
    return this.#window.getFloat32(this.#advance(4), true);
  }

  f64(): number {
    return this.#window.getFloat64(this.#advance(8), true);
  }

  /** A number where it is exact, else a bigint. */
  u64(): number | bigint {
    return exact(this.#window.getBigUint64(this.#advance(8), true));
  }

  i64(): number | bigint {
    return exact(this.#window.getBigInt64(this.#advance(8), true));
  }

  /** A u64 that counts something in this file. @throws WeightFileError `corrupt` */
  count(what: string): number {
    const value = this.u64();
    if (typeof value === 'bigint') {
      throw new WeightFileError('corrupt', `${this.#source.name} announces ${value} ${what}.`);
    }
    return value;
  }

  text(bytes: number): string {
    const start = this.#advance(bytes);
    return this.#text.decode(new Uint8Array(this.#window.buffer, this.#window.byteOffset + start, bytes));
  }

  #advance(bytes: number): number {
    const start = this.#at;
    this.#at += bytes;
    return start;
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
