import { HubError, type HubSubject, refusal } from './hub-error.ts';

/** How the hub is reached. */
export interface HubAccess extends HubSubject {
  /** Milliseconds after which a silent hub is given up. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** Waits after refusals that may pass, in milliseconds. */
const serverDelays = [250, 1000];
const limitDelays = [1000, 2000, 4000, 8000];
/** A hub that asks for more patience is not waited for. */
const longestWait = 60_000;

/**
 * `fetch` for the hub and for where it redirects to: with the token (for the hub alone), given up when no answer begins in
 * time, repeated after 429 (as Retry-After says) and 5xx. Answers other than success are thrown.
 * @throws HubError; the signal's reason when it is aborted
 */
export function hubFetch(access: HubAccess): typeof fetch {
  return async (input, init) => {
    for (let serverErrors = 0, limits = 0; ; ) {
      const response = await fetchOnce(access, input, init);
      if (response.ok) return response;
      await response.body?.cancel();
      const delay =
        response.status === 429
          ? (retryAfter(response) ?? limitDelays[limits])
          : response.status >= 500
            ? serverDelays[serverErrors]
            : undefined;
      const exhausted =
        response.status === 429 ? limits++ >= limitDelays.length : serverErrors++ >= serverDelays.length;
      if (delay === undefined || delay > longestWait || exhausted) throw refusal(response, access);
      await pause(delay, access.signal);
    }
  };
}

async function fetchOnce(
  access: HubAccess,
  input: Parameters<typeof fetch>[0],
  init: RequestInit | undefined,
): Promise<Response> {
  const { hubUrl, token, timeout, signal } = access;
  const headers = new Headers(init?.headers);
  const url = input instanceof Request ? input.url : String(input);
  // A redirect to another origin drops the header again.
  if (token !== undefined && new URL(url).origin === new URL(hubUrl).origin)
    headers.set('Authorization', `Bearer ${token}`);
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), timeout);
  try {
    return await fetch(input, {
      ...init,
      headers,
      signal: signal ? AbortSignal.any([silence.signal, signal]) : silence.signal,
    });
  } catch (cause) {
    signal?.throwIfAborted();
    if (silence.signal.aborted) {
      throw new HubError(
        'timeout',
        `no answer from ${hubUrl} within ${timeout / 1000} s; raise hubTimeout or check the network`,
        { cause },
      );
    }
    throw new HubError('unreachable', `${hubUrl} cannot be reached; check the network, the proxy and HF_ENDPOINT`, {
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds that a Retry-After header asks for: a number of seconds or a date. */
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('Retry-After');
  if (value === null) return undefined;
  const seconds = Number(value);
  const delay = Number.isFinite(seconds) ? 1000 * seconds : Date.parse(value) - Date.now();
  return Number.isFinite(delay) ? Math.max(delay, 0) : undefined;
}

/** Waits, or throws the signal's reason as soon as it is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish);
  });
  signal?.throwIfAborted();
}
