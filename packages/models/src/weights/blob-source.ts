import type { ByteSource } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';

/** Reads a file that the page or program holds as a Blob or File; slices are read on demand. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      const bytes = new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      if (bytes.byteLength !== length) throw truncated(name, offset, length, blob.size);
      return bytes;
    },
    close: async () => undefined,
  };
}

/** The error of a read that passes the end of a file. */
export function truncated(name: string, offset: number, length: number, size: number): WeightFileError {
  return new WeightFileError(
    'truncated',
    `${name} ends at ${size} bytes, but bytes ${offset} to ${offset + length} are needed.`,
  );
}
