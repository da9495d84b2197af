import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { truncated } from '../../weights/blob-source.ts';
import type { ByteSource } from '../../weights/types.ts';
import { WeightFileError } from '../../weights/weight-file-error.ts';

/** Opens a file for random access. @throws WeightFileError `not-found` where it cannot be opened */
export async function openFile(path: string): Promise<ByteSource> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw new WeightFileError('not-found', `${path} cannot be opened.`, { cause });
  });
  const name = basename(path);
  const { size } = await handle.stat();
  let closed = false;
  return {
    name,
    size,
    async read(offset, length) {
      if (closed) throw new WeightFileError('closed', `${name} was closed.`);
      if (offset + length > size) throw truncated(name, offset, length, size);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        // The file has shrunk since it was opened.
        if (bytesRead === 0) throw truncated(name, offset, length, offset + done);
        done += bytesRead;
      }
      return bytes;
    },
    async close() {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
}
