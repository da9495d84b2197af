import { HubError } from '../hub/hub-error.ts';
import type { HubFile } from '../hub/hub-repository.ts';

/** What is stored of a model. */
export interface CachedModel {
  readonly commit: string;
  /** Path, size and address of each file. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly url: string }[];
}

/** Models in the browser's Cache API: each file under its address on the hub, and a list of a model's files. */
export class BrowserCache {
  readonly #cache: Cache;

  private constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Undefined where there is no Cache API: outside of secure contexts, and in private windows of some browsers. */
  static async open(): Promise<BrowserCache | undefined> {
    if (typeof caches === 'undefined') return undefined;
    const cache = await caches.open('saccade-models').catch(() => undefined);
    return cache && new BrowserCache(cache);
  }

  async model(listUrl: string): Promise<CachedModel | undefined> {
    const response = await this.#cache.match(listUrl);
    return response && ((await response.json()) as CachedModel);
  }

  async setModel(listUrl: string, model: CachedModel): Promise<void> {
    await this.#cache.put(listUrl, Response.json(model));
  }

  /** Content of a file; undefined where it is not stored in full. */
  async blob(url: string, size: number): Promise<Blob | undefined> {
    const blob = await (await this.#cache.match(url))?.blob();
    return blob?.size === size ? blob : undefined;
  }

  /**
   * Stores a download as it arrives.
   * @throws HubError `no-space`, or `interrupted` where it ends early; then nothing of the file is stored
   */
  async put(url: string, file: HubFile, response: Response, onBytes: (count: number) => void): Promise<Blob> {
    let count = 0;
    const counted = response.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          count += chunk.byteLength;
          onBytes(count);
          controller.enqueue(chunk);
        },
      }),
    );
    try {
      await this.#cache.put(url, new Response(counted ?? null));
      const blob = await this.blob(url, file.size);
      if (blob) return blob;
      throw interrupted(file, count);
    } catch (error) {
      await this.#cache.delete(url);
      if (isQuota(error)) throw await noSpace(file, error);
      if (HubError.isInstance(error)) throw error;
      throw interrupted(file, count, error);
    }
  }
}

function interrupted({ path, size }: HubFile, count: number, cause?: unknown): HubError {
  return new HubError('interrupted', `the download of ${path} ended after ${count} of ${size} bytes; try again.`, {
    cause,
  });
}

function isQuota(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}

async function noSpace(file: HubFile, cause: unknown): Promise<HubError> {
  const { usage, quota } = (await globalThis.navigator?.storage?.estimate().catch(() => undefined)) ?? {};
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const room =
    usage !== undefined && quota !== undefined ? ` (${megabytes(usage)} of ${megabytes(quota)} are used)` : '';
  const message = `the browser's storage has no room for ${file.path}, ${megabytes(file.size)}${room}`;
  return new HubError('no-space', `${message}: remove data of this site, free disk space, or take a smaller model.`, {
    cause,
  });
}
