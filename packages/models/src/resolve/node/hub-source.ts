import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { openHubFiles } from '../hub-files.ts';
import { type ModelSource, requireRepository, SourceMiss } from '../model-source.ts';
import { installInCache } from './cache-folder.ts';

/** How much longer than for an answer one waits while an answer is under way. */
const bodyPatience = 6;

/** Downloads a model from the Hugging Face hub into the cache. */
export const hubSource: ModelSource = async (request) => {
  const repository = requireRepository(request);
  const blobs = await openHubFiles(request);
  const { onProgress } = request.options;
  return installInCache({ ...request, repository }, 'hub', async (folder) => {
    for (const [file, blob] of blobs) {
      const onBytes = (loadedBytes: number) =>
        onProgress?.({ source: 'hub', file, loadedBytes, totalBytes: blob.size });
      await save(blob, join(folder, file), bodyPatience * request.hubTimeout, onBytes).catch((cause: unknown) => {
        throw cause instanceof SourceMiss ? cause : new Error(`the download of ${file} broke off`, { cause });
      });
    }
  });
};

/** Writes a Blob to a file as it arrives. @throws SourceMiss where it stops or ends early */
async function save(blob: Blob, path: string, timeout: number, onBytes: (count: number) => unknown): Promise<void> {
  const file = await open(path, 'wx');
  const reader = blob.stream().getReader();
  try {
    let count = 0;
    for (;;) {
      const { done, value } = await within(timeout, reader.read());
      if (done) break;
      await file.writeFile(value);
      count += value.byteLength;
      onBytes(count);
    }
    if (count !== blob.size) throw new SourceMiss(`the download ended after ${count} of ${blob.size} bytes`);
  } finally {
    await reader.cancel().catch(() => undefined);
    await file.close();
  }
}

/** A promise's result, or an error when it takes longer than `timeout` milliseconds. */
async function within<T>(timeout: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SourceMiss(`the download stopped for ${timeout / 1000} s`)), timeout);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}
