import type { ModelFiles, ModelSourceName, ResolveOptions } from './types.ts';

/** What is asked of a place. */
export interface SourceRequest {
  /** The name or path as it was given. */
  readonly name: string;
  /** Name of a hub repository, `owner/name`; undefined where the name cannot be one. */
  readonly repository: string | undefined;
  readonly options: ResolveOptions;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Base address of the hub. */
  readonly hubUrl: string;
  /** Milliseconds after which a silent hub is given up. */
  readonly hubTimeout: number;
}

/** A place does not have the model; anything else that it throws is reported with its own message. */
export class SourceMiss extends Error {}

/** A place where models are looked for. @throws SourceMiss */
export type ModelSource = (request: SourceRequest) => Promise<ModelFiles>;

/** How messages speak of the places. */
export const sourceTitles: Readonly<Record<ModelSourceName, string>> = {
  local: 'local file or folder',
  cache: 'cache',
  hub: 'Hugging Face hub',
  pip: 'Python package (pip)',
};

/** The repository's name, or the reason why there is none. @throws SourceMiss */
export function requireRepository(request: SourceRequest): string {
  if (request.repository !== undefined) return request.repository;
  throw new SourceMiss(`${JSON.stringify(request.name)} is not a model's name, which is "owner/name"`);
}
