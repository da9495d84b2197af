import { randomUUID } from 'node:crypto';
import { copyFile, link, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

const commitPattern = /^[0-9a-f]{40}$/;

/**
 * One model in Hugging Face's cache, laid out as its Python library does, so that both share what either has downloaded:
 * `blobs/<etag>` holds contents, `snapshots/<commit>/<path>` are links to them, `refs/<revision>` holds a commit.
 */
export class HubCacheEntry {
  readonly folder: string;

  constructor(cacheFolder: string, repository: string) {
    this.folder = join(cacheFolder, `models--${repository.replaceAll('/', '--')}`);
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that a revision stood for when it was last asked for. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (commitPattern.test(revision)) return revision;
    const text = await readFile(join(this.folder, 'refs', ...safeParts(revision)), 'utf8').catch(() => '');
    return commitPattern.test(text.trim()) ? text.trim() : undefined;
  }

  async setRevision(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    await replaceFile(join(this.folder, 'refs', ...safeParts(revision)), (path) => writeFile(path, commit));
  }

  /** Makes a blob appear as a file of a snapshot: a link, or a copy where the file system has none. */
  async addToSnapshot(commit: string, path: string, etag: string): Promise<void> {
    const target = join(this.snapshot(commit), ...safeParts(path));
    const blob = this.blob(etag);
    if (await stat(target).catch(() => undefined)) return;
    await replaceFile(target, async (temporary) => {
      await symlink(relative(dirname(target), blob), temporary)
        .catch(() => link(blob, temporary))
        .catch(() => copyFile(blob, temporary));
    });
  }
}

/** Makes a file under a temporary name and renames it, so that nobody sees a part of it. */
async function replaceFile(path: string, make: (temporary: string) => Promise<unknown>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Parts of a path that lead nowhere else. */
function safeParts(path: string): string[] {
  const parts = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\\'))) {
    throw new Error(`${JSON.stringify(path)} is not a path inside a repository`);
  }
  return parts;
}
