import type { Report, Request } from '../protocol.ts';
import { explain } from './explain.ts';
import { Session } from './session.ts';

/** The part of a dedicated worker that is used here; the compiler knows the page's `self` alone. */
interface WorkerScope {
  postMessage(message: Report): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
}

const scope = self as unknown as WorkerScope;
const session = new Session((report) => scope.postMessage(report));
let job: AbortController | undefined;

scope.onmessage = ({ data }) => {
  if (data.type === 'cancel') job?.abort();
  else void run(data);
};

async function run(request: Exclude<Request, { type: 'cancel' }>): Promise<void> {
  const own = new AbortController();
  job = own;
  try {
    await perform(request, own.signal);
    scope.postMessage({ type: 'done' });
  } catch (error) {
    scope.postMessage(own.signal.aborted ? { type: 'cancelled' } : { type: 'failed', trouble: explain(error) });
  }
}

function perform(request: Exclude<Request, { type: 'cancel' }>, signal: AbortSignal): Promise<void> {
  switch (request.type) {
    case 'open':
      return session.open();
    case 'load':
      return session.load(request.model, signal);
    case 'compare':
      return session.compare(request.request, signal);
    case 'scenario':
      return session.scenario(request.request, signal);
  }
}
