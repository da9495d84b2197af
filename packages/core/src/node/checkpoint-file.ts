import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CheckpointStore } from '../nn/training/checkpoint-store.ts';

/**
 * Keeps a run's checkpoint in a file. The bytes go to a file beside it (`.partial`), which takes its place when they are on the disk: a
 * process that ends at any moment leaves the checkpoint before or the new one, whole.
 *
 * @param path of the file; its folder is made
 * @throws from its methods, what the file system says
 */
export function checkpointFile(path: string): CheckpointStore {
  const partial = `${path}.partial`;
  return {
    read: () =>
      readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      }),
    async write(checkpoint) {
      await mkdir(dirname(path), { recursive: true });
      try {
        const file = await open(partial, 'w');
        try {
          await file.writeFile(checkpoint);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(partial, path);
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },
  };
}
