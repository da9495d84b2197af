import { SaccadeError } from '@saccade/core';
import type { ByteSource } from '../weights/types.ts';
import type { HubError } from './hub/hub-error.ts';

/** The places a model is looked for, in this order. */
export type ModelSourceName = 'local' | 'cache' | 'hub' | 'pip';

/** A model's files, wherever they are. */
export interface ModelFiles {
  /** The name or path that was asked for. */
  readonly name: string;
  readonly source: ModelSourceName;
  /** Path of the file or folder. */
  readonly location: string;
  /** Names of the files. */
  readonly names: readonly string[];
  /** The weight file to take, where a file rather than a folder was named. */
  readonly weights?: string;
  /** @throws WeightFileError `not-found` */
  open(name: string): Promise<ByteSource>;
}

/** Progress of a download. */
export interface DownloadProgress {
  readonly source: ModelSourceName;
  readonly file: string;
  readonly loadedBytes: number;
  /** Unknown for a source that does not tell. */
  readonly totalBytes: number | undefined;
  /** The same of all files of the model together, once their sizes are known. */
  readonly overall: { readonly loadedBytes: number; readonly totalBytes: number } | undefined;
}

export interface ResolveOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** One line for people about each place that is tried and which one is taken. */
  readonly onMessage?: ((message: string) => void) | undefined;
  /** Where models of Python packages are kept; default `$XDG_CACHE_HOME/saccade/models` or `~/.cache/saccade/models`. */
  readonly cacheFolder?: string | undefined;
  /**
   * Where downloads of the hub are kept, in the layout of Hugging Face's Python library; default `$HF_HUB_CACHE`, `$HF_HOME/hub` or
   * `~/.cache/huggingface/hub`.
   */
  readonly hubCacheFolder?: string | undefined;
  /** The places to look in; default all, in the order of {@link ModelSourceName}. */
  readonly sources?: readonly ModelSourceName[] | undefined;
  /** Base address of the hub; default `$HF_ENDPOINT` or the public hub. */
  readonly hubUrl?: string | undefined;
  /** Branch, tag or commit of the hub's repository; default `main`. */
  readonly revision?: string | undefined;
  /** The weight file of a hub repository that holds several, such as a GGUF file; default `model.safetensors` or its shards. */
  readonly weights?: string | undefined;
  /**
   * How the model's files lie: beside each other (`model`, default), or as those of diffusers' pipelines in subfolders for
   * transformer, autoencoder and scheduler (`pipeline`).
   */
  readonly layout?: 'model' | 'pipeline' | undefined;
  /** Access token of the hub; default `$HF_TOKEN`, or what `hf auth login` has stored. An empty text sends none. */
  readonly token?: string | undefined;
  /** Whether the hub is not to be asked; default `$HF_HUB_OFFLINE`. */
  readonly offline?: boolean | undefined;
  /** Milliseconds after which a silent hub is given up; default `$HF_HUB_ETAG_TIMEOUT` (seconds) or 5000. */
  readonly hubTimeout?: number | undefined;
}

/** What happened at one place. */
export interface ModelSourceFailure {
  readonly source: ModelSourceName;
  readonly reason: string;
  /** The error behind it, where there was one: for the hub a {@link HubError}. */
  readonly error?: Error | undefined;
}

/** No place had the model: the message tells what happened at each, and what each would need. */
export class ModelNotFoundError extends SaccadeError {
  static override readonly typeName: string = 'ModelNotFoundError';
  readonly failures: readonly ModelSourceFailure[];

  constructor(name: string, failures: readonly ModelSourceFailure[]) {
    const lines = failures.map(({ source, reason }) => `  ${source}: ${reason}`);
    super('model-not-found', `The model ${JSON.stringify(name)} was not found:\n${lines.join('\n')}`);
    this.failures = failures;
  }
}
