import { HubError } from './hub-error.ts';
import { type HubAccess, hubFetch } from './hub-fetch.ts';

/** A file of a repository. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Names the content in caches: SHA-256 of large files, git's object id of others. */
  readonly etag: string;
  /** What the etag is the digest of: the bytes, or git's blob object (`blob <size>\0` and the bytes) by SHA-1. */
  readonly digest: 'sha256' | 'git';
}

/**
 * A model repository at one commit, so that nothing changes between its files. `@huggingface/hub` speaks the API; downloads are plain requests,
 * because they must resume.
 */
export class HubRepository {
  /** The commit that the revision stood for. */
  readonly commit: string;
  readonly #access: HubAccess;
  readonly #fetch: typeof fetch;

  private constructor(access: HubAccess, commit: string) {
    this.#access = access;
    this.#fetch = hubFetch(access);
    this.commit = commit;
  }

  /** @throws HubError; the signal's reason when it is aborted */
  static async find(access: HubAccess): Promise<HubRepository> {
    const { modelInfo } = await import('@huggingface/hub');
    const info = await modelInfo({
      name: access.repository,
      revision: access.revision,
      hubUrl: access.hubUrl,
      fetch: hubFetch(access),
      additionalFields: ['sha'],
    });
    if (!/^[0-9a-f]{40}$/.test(info.sha)) throw unlikeHub(access, `the commit ${JSON.stringify(info.sha)}`);
    return new HubRepository(access, info.sha);
  }

  /** Those of the files that exist. @throws HubError */
  async files(paths: readonly string[]): Promise<HubFile[]> {
    const { pathsInfo } = await import('@huggingface/hub');
    const { repository, hubUrl } = this.#access;
    const found = await pathsInfo({
      repo: { type: 'model', name: repository },
      revision: this.commit,
      paths: [...paths],
      hubUrl,
      fetch: this.#fetch,
    });
    return found
      .filter(({ path, type }) => type === 'file' && paths.includes(path))
      .map(({ path, size, oid, lfs }) => {
        const etag = lfs?.oid ?? oid ?? '';
        const digest = lfs ? 'sha256' : 'git';
        // The etag becomes a file name.
        const sound = (digest === 'sha256' ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(etag);
        if (!sound || !Number.isSafeInteger(size) || size < 0)
          throw unlikeHub(this.#access, `no digest and size of ${path}`);
        return { path, size, etag, digest };
      });
  }

  /** Address of a file at this commit. */
  url({ path }: HubFile): string {
    const { hubUrl, repository } = this.#access;
    return `${hubUrl}/${repository}/resolve/${this.commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
  }

  /**
   * Begins a download.
   * @param from First byte that is wanted; the answer may begin at 0 all the same (status 200).
   * @param to End of what is wanted; default the end of the file.
   * @throws HubError, also `changed` where the file has another size
   */
  async open(file: HubFile, from = 0, to = file.size): Promise<Response> {
    // A compressed answer would tell neither sizes nor ranges. Browsers decide this themselves.
    const headers = new Headers({ 'Accept-Encoding': 'identity' });
    if (from > 0 || to < file.size) headers.set('Range', `bytes=${from}-${to - 1}`);
    const response = await this.#fetch(this.url(file), { headers });
    const total = totalBytes(response) ?? file.size;
    if (total !== file.size) {
      await response.body?.cancel();
      throw new HubError('changed', `${file.path} has ${total} bytes, but the hub announced ${file.size}; try again.`);
    }
    return response;
  }
}

/** Size of the whole file as an answer tells it. */
function totalBytes({ status, headers }: Response): number | undefined {
  const length = headers.has('Content-Encoding') ? null : headers.get('Content-Length');
  const text = status === 206 ? headers.get('Content-Range')?.split('/').pop() : length;
  return text == null ? undefined : Number(text);
}

function unlikeHub({ hubUrl }: HubAccess, what: string): HubError {
  return new HubError('unavailable', `${hubUrl} gives ${what}, as no hub does; check HF_ENDPOINT.`);
}
