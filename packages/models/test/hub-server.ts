import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the server treats one request: the file's bytes, or what it does instead. */
export type HubReply = Uint8Array | 'silent' | 'cut' | 'stall' | number;

/** A server on this machine that answers as the hub does: ranges, etags, its own code for files that are missing. */
export class HubServer {
  readonly requests: string[] = [];
  readonly #server: Server;
  #reply: (path: string) => HubReply = () => 404;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  static async start(): Promise<HubServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new HubServer(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Sets what is behind a path such as `owner/name/config.json`, and forgets earlier requests. */
  serve(reply: (path: string) => HubReply): void {
    this.#reply = reply;
    this.requests.length = 0;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').slice(1).replace('/resolve/main/', '/');
    this.requests.push(path);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    let reply = this.#reply(path);
    if (reply === 'silent') return;
    if (typeof reply === 'number') {
      response.writeHead(reply, reply === 404 ? { 'X-Error-Code': 'EntryNotFound' } : {}).end('refused');
      return;
    }
    const trouble = typeof reply === 'string' ? reply : undefined;
    if (typeof reply === 'string') reply = new Uint8Array(1 << 20);
    const [start, end] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, reply.byteLength];
    const body = reply.subarray(start, end);
    response.writeHead(range ? 206 : 200, {
      ETag: '"1"',
      'Content-Length': body.byteLength,
      ...(range ? { 'Content-Range': `bytes ${start}-${end - 1}/${reply.byteLength}` } : {}),
    });
    // The first question, one byte, is about the size; the trouble begins with the content.
    if (!trouble || body.byteLength === 1) response.end(body);
    else
      response.write(body.subarray(0, body.byteLength / 2), () => (trouble === 'cut' ? response.destroy() : undefined));
  }
}
