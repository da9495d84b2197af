import type { Reply, Request } from '../messages.ts';
import type { Implementation, PreparedWork } from '../runner.ts';

/** Imports a package of the peer's folder. */
export type Load = (name: string) => Promise<unknown>;

/** What a module beside this one exports as `open`. */
export type OpenPeer = (load: Load, device: string) => Promise<Implementation>;

const [worker, loader, device = ''] = process.argv.slice(2);
const answer = (reply: Reply) => process.send?.(reply);
const message = (error: unknown) => (error instanceof Error ? error.message : String(error));

let prepared: PreparedWork | undefined;

async function obey(peer: Implementation, request: Request): Promise<number | ArrayLike<number> | undefined> {
  switch (request.kind) {
    case 'prepare':
      prepared = await peer.prepare(request.work);
      return undefined;
    case 'run':
      return await prepared?.run();
    case 'output':
      return await prepared?.output();
    case 'dispose':
      await prepared?.dispose();
      prepared = undefined;
      return undefined;
  }
}

try {
  const { load } = (await import(loader as string)) as { load: Load };
  const { open } = (await import(`./${worker}.ts`)) as { open: OpenPeer };
  const peer = await open(load, device);
  process.on('message', async (request: Request) => {
    try {
      const value = await obey(peer, request);
      answer({ kind: 'done', ...(value === undefined ? {} : { value }) });
    } catch (error) {
      answer({ kind: 'error', message: message(error) });
    }
  });
  process.on('disconnect', () => process.exit(0));
  answer({ kind: 'ready', description: peer.description });
} catch (error) {
  answer({ kind: 'error', message: message(error) });
}
