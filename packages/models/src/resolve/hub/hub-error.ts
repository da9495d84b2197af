import { SaccadeError } from '@saccade/core';

/**
 * What went wrong with the hub:
 * - `offline`: the network is not to be used
 * - `unreachable`, `timeout`: no connection, or no answer in time
 * - `unauthorized`: the token is missing or wrong
 * - `gated`: the model's terms must be accepted first
 * - `forbidden`: the token does not reach this model
 * - `repository-not-found`, `revision-not-found`, `file-not-found`: the hub has none of this name
 * - `rate-limited`: too many requests
 * - `unavailable`: the hub fails (5xx), or answers what no hub answers
 * - `interrupted`: a download broke off again and again
 * - `changed`: a file has another size than the hub announced
 * - `checksum`: a file has other bytes than the hub announced
 * - `no-space`: the disk or the browser's storage is full
 */
export type HubErrorCode =
  | 'offline'
  | 'unreachable'
  | 'timeout'
  | 'unauthorized'
  | 'gated'
  | 'forbidden'
  | 'repository-not-found'
  | 'revision-not-found'
  | 'file-not-found'
  | 'rate-limited'
  | 'unavailable'
  | 'interrupted'
  | 'changed'
  | 'checksum'
  | 'no-space';

/**
 * A model cannot be had from the Hugging Face hub; `code` is a {@link HubErrorCode}, and the message says what to do: accept terms, give a
 * token, wait, free space, or call again to continue a download.
 */
export class HubError extends SaccadeError {
  static override readonly typeName: string = 'HubError';

  constructor(code: HubErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** What a request was about, for messages. */
export interface HubSubject {
  readonly hubUrl: string;
  readonly repository: string;
  readonly revision: string;
  readonly token: string | undefined;
}

/** The error that a refusal of the hub stands for; it tells its reasons in the header X-Error-Code. */
export function refusal({ status, headers, url }: Response, subject: HubSubject): HubError {
  const { hubUrl, repository, revision, token } = subject;
  const page = `${hubUrl}/${repository}`;
  const reason = headers.get('X-Error-Code');
  const getToken = `create a token at ${hubUrl}/settings/tokens and give it as HF_TOKEN or the option token`;
  if (reason === 'GatedRepo') {
    const then = token ? 'with the account of your token' : `and ${getToken}`;
    return new HubError('gated', `${repository} is gated: accept its terms at ${page} ${then}.`);
  }
  if (reason === 'RevisionNotFound') {
    return new HubError(
      'revision-not-found',
      `${repository} has no revision ${JSON.stringify(revision)}; see ${page}/commits.`,
    );
  }
  if (reason === 'EntryNotFound') return new HubError('file-not-found', `${url} does not exist.`);
  if (reason === 'RepoNotFound' || (status === 404 && reason === null)) {
    const access = token ? 'your token does not reach it' : `it is private: then ${getToken}`;
    return new HubError('repository-not-found', `${repository} is not on ${hubUrl}, or ${access}. Check the name.`);
  }
  if (status === 401) {
    return token
      ? new HubError('unauthorized', `${hubUrl} refuses the token (401): it is wrong or has expired; ${getToken}.`)
      : new HubError('unauthorized', `${hubUrl} asks for a token (401): ${getToken}.`);
  }
  if (status === 403) {
    return new HubError('forbidden', `${hubUrl} forbids ${repository} (403): give your token the right to read it.`);
  }
  if (status === 429) {
    const advice = token ? 'wait some minutes' : `wait some minutes, or ${getToken}, which allows more`;
    return new HubError('rate-limited', `${hubUrl} allows no more requests now (429): ${advice}.`);
  }
  return new HubError('unavailable', `${hubUrl} answers ${status} for ${url}; try again later.`);
}
