import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A repository on the server. */
export interface HubRepositoryFiles {
  /** Revisions by name; each is a commit. */
  readonly refs: Readonly<Record<string, string>>;
  /** Files of each commit by path. */
  readonly commits: Readonly<Record<string, Readonly<Record<string, Uint8Array>>>>;
  /** Without it, the hub says that there is no such repository. */
  readonly token?: string;
  /** Files are refused to those who have not accepted the terms. */
  readonly gated?: boolean;
}

/** One request as the server saw it; `path` of the storage behind the hub begins with `cdn/`. */
export interface HubRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/**
 * What the server does instead of answering: nothing at all, a refusal, other bytes, or the answer's first bytes and then the end of
 * the connection (`cut`) or silence (`stall`).
 */
export type HubTrouble =
  | 'silent'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly bytes: Uint8Array }
  | { readonly cut: number }
  | { readonly stall: number };

export const mainCommit = '1'.repeat(40);

/** A server on this machine that behaves as the hub: its API, etags, ranges, and a storage of another origin for large files. */
export class HubServer {
  readonly requests: HubRequest[] = [];
  readonly #hub: Server;
  readonly #storage: Server;
  #repositories: Readonly<Record<string, HubRepositoryFiles>> = {};
  #trouble: (request: HubRequest) => HubTrouble | undefined = () => undefined;

  private constructor(hub: Server, storage: Server) {
    this.#hub = hub;
    this.#storage = storage;
    hub.on('request', (request, response) => this.#receive(request, response, ''));
    storage.on('request', (request, response) => this.#receive(request, response, 'cdn/'));
  }

  static async start(): Promise<HubServer> {
    const servers = [createServer(), createServer()] as const;
    await Promise.all(
      servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))),
    );
    return new HubServer(...servers);
  }

  get url(): string {
    return urlOf(this.#hub);
  }

  /** Sets what the server has, and forgets earlier requests and trouble. */
  serve(repositories: Readonly<Record<string, HubRepositoryFiles>>): void {
    this.#repositories = repositories;
    this.#trouble = () => undefined;
    this.requests.length = 0;
  }

  /** One repository with one commit on `main`. */
  serveFiles(
    repository: string,
    files: Readonly<Record<string, Uint8Array>>,
    options: Partial<HubRepositoryFiles> = {},
  ): void {
    this.serve({ [repository]: { refs: { main: mainCommit }, commits: { [mainCommit]: files }, ...options } });
  }

  /** Decides for each request whether something goes wrong. */
  disturb(trouble: (request: HubRequest) => HubTrouble | undefined): void {
    this.#trouble = trouble;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }

  #receive(request: IncomingMessage, response: ServerResponse, prefix: string): void {
    const { range, authorization } = request.headers;
    const path = prefix + decodeURIComponent((request.url ?? '').slice(1).split('?')[0] ?? '');
    const seen: HubRequest = { path, range, authorization };
    this.requests.push(seen);
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const trouble = this.#trouble(seen);
      if (trouble === 'silent') return;
      if (trouble && 'status' in trouble) response.writeHead(trouble.status, { ...trouble.headers }).end('refused');
      else this.#answer(seen, body, response, trouble);
    });
  }

  #answer(request: HubRequest, body: string, response: ServerResponse, trouble: HubTrouble | undefined): void {
    const { path, authorization } = request;
    if (path.startsWith('cdn/')) {
      // Storages refuse requests that are authorised twice.
      if (authorization) response.writeHead(400).end();
      else sendBytes(request, this.#stored(path.slice(4)), response, trouble);
      return;
    }
    const [, api, name = '', kind, rest = ''] =
      /^(api\/models\/)?([^/]+\/[^/]+)\/(revision|paths-info|resolve)\/(.+)$/.exec(path) ?? [];
    const repository = this.#repositories[name];
    const allowed = repository?.token === undefined || authorization === `Bearer ${repository.token}`;
    if (!repository || !allowed) {
      refuse(response, repository || !authorization ? 401 : 404, 'RepoNotFound');
      return;
    }
    const slash = kind === 'resolve' ? rest.indexOf('/') : rest.length;
    const revision = rest.slice(0, slash);
    const commit = repository.refs[revision] ?? revision;
    const files = repository.commits[commit];
    if (!files) refuse(response, 404, 'RevisionNotFound');
    else if (api && kind === 'revision')
      sendJson(response, { _id: 'x', id: name, sha: commit, private: false, gated: false });
    else if (api && kind === 'paths-info')
      sendJson(response, pathsInfo(files, JSON.parse(body) as { paths: string[] }));
    else if (repository.gated) refuse(response, 403, 'GatedRepo');
    else this.#sendFile(request, files[rest.slice(slash + 1)], rest.endsWith('.json'), commit, response, trouble);
  }

  #sendFile(
    request: HubRequest,
    bytes: Uint8Array | undefined,
    small: boolean,
    commit: string,
    response: ServerResponse,
    trouble: HubTrouble | undefined,
  ): void {
    if (!bytes) refuse(response, 404, 'EntryNotFound');
    else if (small) {
      response.setHeader('X-Repo-Commit', commit);
      sendBytes(request, bytes, response, trouble, gitId(bytes));
    } else {
      const digest = sha256(bytes);
      const headers = { 'X-Repo-Commit': commit, 'X-Linked-Size': bytes.byteLength, 'X-Linked-Etag': `"${digest}"` };
      response.writeHead(302, { ...headers, Location: `${urlOf(this.#storage)}/${digest}` }).end();
    }
  }

  #stored(digest: string): Uint8Array {
    for (const { commits } of Object.values(this.#repositories)) {
      for (const files of Object.values(commits)) {
        for (const bytes of Object.values(files)) if (sha256(bytes) === digest) return bytes;
      }
    }
    return new Uint8Array(0);
  }
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function pathsInfo(
  files: Readonly<Record<string, Uint8Array>>,
  { paths }: { readonly paths: readonly string[] },
): unknown {
  return paths.flatMap((path) => {
    const bytes = files[path];
    if (!bytes) return [];
    const size = bytes.byteLength;
    const entry = { type: 'file', path, size, oid: gitId(bytes) };
    return path.endsWith('.json') ? [entry] : [{ ...entry, lfs: { oid: sha256(bytes), size, pointerSize: 130 } }];
  });
}

/** Digest that names the content of a large file. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Git's object id, which names the content of other files. */
export function gitId(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  response.writeHead(status, { 'X-Error-Code': reason, 'Content-Type': 'application/json' }).end('{"error":"refused"}');
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}

function sendBytes(
  { range }: HubRequest,
  stored: Uint8Array,
  response: ServerResponse,
  trouble: HubTrouble | undefined,
  etag = sha256(stored),
): void {
  const bytes = trouble && typeof trouble === 'object' && 'bytes' in trouble ? trouble.bytes : stored;
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const start = Number(first ?? 0);
  const end = last ? Number(last) + 1 : bytes.byteLength;
  const body = bytes.subarray(start, end);
  response.writeHead(range ? 206 : 200, {
    ETag: `"${etag}"`,
    'Content-Length': body.byteLength,
    ...(range ? { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.byteLength}` } : {}),
  });
  if (trouble && typeof trouble === 'object' && 'cut' in trouble) {
    response.write(body.subarray(0, trouble.cut), () => setTimeout(() => response.destroy(), 20));
  } else if (trouble && typeof trouble === 'object' && 'stall' in trouble)
    response.write(body.subarray(0, trouble.stall));
  else response.end(body);
}
