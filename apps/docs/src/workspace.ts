import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The workspace's folder. */
export const workspace = fileURLToPath(new URL('../../../', import.meta.url));

/** Folders that hold nothing that people wrote here. */
const skipped = new Set([
  'node_modules',
  'dist',
  'golden',
  'checkpoints',
  'data',
  'results',
  'template',
  '.git',
  '.turbo',
]);

/** Files with this ending below a folder of the workspace, relative to the workspace, sorted. */
export function filesEnding(ending: string, folder = ''): string[] {
  return readdirSync(join(workspace, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder ? `${folder}/${entry.name}` : entry.name;
      if (entry.isDirectory()) {
        const hidden = entry.name.startsWith('.') && entry.name !== '.github';
        return hidden || skipped.has(entry.name) ? [] : filesEnding(ending, path);
      }
      return entry.name.endsWith(ending) ? [path] : [];
    })
    .sort();
}
