import { createHash, type Hash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HubError } from '../hub/hub-error.ts';
import { pause } from '../hub/hub-fetch.ts';
import type { HubFile, HubRepository } from '../hub/hub-repository.ts';

/** A partial download that nobody has written to for so long, in milliseconds, may be continued by another process. */
const abandonedAfter = 60_000;
/** Waits before a broken download is continued; the count starts anew with every byte that arrives. */
const resumeDelays = [0, 500, 2000];
/** Errors of requests that a connection which has broken off may meet for a while. */
const passing: readonly string[] = ['unreachable', 'timeout'];
const readBytes = 1 << 20;

export interface BlobDownload {
  readonly repository: HubRepository;
  readonly file: HubFile;
  /** Where the content goes. */
  readonly path: string;
  /** Milliseconds without a byte after which the connection counts as broken. */
  readonly silence: number;
  readonly signal: AbortSignal | undefined;
  readonly onBytes: (count: number) => void;
}

/**
 * Downloads a file's content into a cache.
 *
 * Every process writes a partial file of its own and renames it once its digest is right, so that two at once both end with
 * the right file. A connection that breaks is continued where it broke; so is what an earlier process left behind. Since a
 * partial file is named by the digest of the whole, its bytes can only be a part of the same content, and the digest at the end proves it.
 * @throws HubError `interrupted`, `checksum`, `changed`, `no-space` and those of requests
 */
export async function downloadBlob(download: BlobDownload): Promise<void> {
  const { file, path } = download;
  await mkdir(dirname(path), { recursive: true });
  for (const last of [false, true]) {
    const partial = await adoptPartial(path);
    const handle = await open(partial, 'r+').catch(() => open(partial, 'w+'));
    let sound: boolean;
    try {
      sound = await fill(handle, download);
    } catch (error) {
      throw spaceError(error, path);
    } finally {
      await handle.close();
    }
    if (sound) {
      await rename(partial, path).catch(async (error: unknown) => {
        if (!(await stat(path).catch(() => undefined))) throw error;
      });
      return;
    }
    await rm(partial, { force: true });
    if (last) {
      throw new HubError(
        'checksum',
        `${file.path} arrived twice with other bytes than ${file.etag} announces: something between here and the hub changes it.`,
      );
    }
  }
}

/** Path of a partial file of our own: an abandoned one under a new name, or one that does not exist yet. */
async function adoptPartial(path: string): Promise<string> {
  const own = `${path}.saccade-${randomUUID()}.incomplete`;
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.saccade-`) || !name.endsWith('.incomplete')) continue;
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (!found || Date.now() - found.mtimeMs < abandonedAfter) continue;
    // Only one process succeeds.
    const taken = await rename(join(folder, name), own).then(
      () => true,
      () => false,
    );
    if (taken) break;
  }
  return own;
}

/** Downloads what is missing; false where the digest is wrong. */
async function fill(handle: FileHandle, download: BlobDownload): Promise<boolean> {
  const { repository, file, signal, silence, onBytes } = download;
  let hash = startHash(file);
  let at = await hashExisting(handle, file, hash);
  let failures = 0;
  while (at < file.size) {
    try {
      const response = await repository.open(file, at);
      if (response.status !== 206 && at > 0) {
        // The server knows no ranges.
        at = 0;
        hash = startHash(file);
      }
      for await (const chunk of chunksOf(response, silence, signal)) {
        if (at + chunk.byteLength > file.size) return false;
        await writeAll(handle, chunk, at);
        hash.update(chunk);
        at += chunk.byteLength;
        failures = 0;
        onBytes(at);
      }
      if (at < file.size) throw new Error(`the connection ended after ${at} of ${file.size} bytes`);
    } catch (error) {
      signal?.throwIfAborted();
      if (isSystemError(error) || (HubError.isInstance(error) && !passing.includes(error.code))) throw error;
      const delay = resumeDelays[failures++];
      if (delay === undefined) {
        const message = `the download of ${file.path} broke off ${failures} times at byte ${at} of ${file.size}`;
        if (HubError.isInstance(error) && at === 0) throw error;
        throw new HubError('interrupted', `${message}; what has arrived is kept: try again.`, { cause: error });
      }
      await pause(delay, signal);
    }
  }
  if (file.size === 0 || at === file.size) onBytes(at);
  await handle.truncate(file.size);
  return hash.digest('hex') === file.etag;
}

/** The body of an answer as it arrives. @throws Error when it is silent for too long */
async function* chunksOf(
  response: Response,
  silence: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  signal?.addEventListener('abort', cancel);
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const silent = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no byte for ${silence / 1000} s`)), silence);
      });
      const { done, value } = await Promise.race([reader.read(), silent]).finally(() => clearTimeout(timer));
      signal?.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', cancel);
    cancel();
  }
}

function startHash(file: HubFile): Hash {
  if (file.digest === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${file.size}\0`);
}

/** Hashes what an earlier process has downloaded; how many bytes it is. */
async function hashExisting(handle: FileHandle, file: HubFile, hash: Hash): Promise<number> {
  const { size } = await handle.stat();
  if (size > file.size) await handle.truncate(0);
  const existing = size > file.size ? 0 : size;
  const buffer = Buffer.alloc(Math.min(existing, readBytes));
  let at = 0;
  while (at < existing) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.byteLength, existing - at), at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return at;
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < chunk.byteLength; ) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.byteLength - done, at + done);
    done += bytesWritten;
  }
}

/** Whether the file system rather than the connection failed. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && (syscall === 'write' || syscall === 'ftruncate');
}

function spaceError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new HubError('no-space', `${dirname(path)} has no space left: free some, or set HF_HOME to another disk.`, {
    cause: error,
  });
}
