import { describeLicence, type ModelLicence, modelLicence } from '../resolve/licence.ts';
import { resolveModel } from '../resolve/resolve-model.ts';
import type { DownloadProgress, ModelFiles, ResolveOptions } from '../resolve/types.ts';
import type { LoadDtype } from '../weights/loadable-weights.ts';
import { openWeights } from '../weights/open-weights.ts';
import type { WeightFile } from '../weights/types.ts';

export interface LoadModelOptions extends Omit<ResolveOptions, 'onProgress'> {
  /** Called with the share of download and upload that is done, in [0, 1]. */
  readonly onProgress?: ((share: number) => void) | undefined;
  /** Called with the bytes of a download. */
  readonly onDownload?: ((progress: DownloadProgress) => void) | undefined;
  /**
   * Element types of the weights in GPU memory; default `auto`: as the file has them, but quantized types that no kernel reads
   * are converted (see {@link LoadDtype}). What that costs is told to `onMessage`, or else to `console.warn`.
   */
  readonly dtype?: LoadDtype | undefined;
}

/** A model's files that are open, and what whoever uploads them tells. */
export interface Checkpoint {
  readonly name: string;
  readonly files: ModelFiles;
  readonly weights: WeightFile;
  readonly licence: ModelLicence | undefined;
  /** A line for people about the weights. */
  readonly notice: (line: string) => void;
  /** @param share Of the weights that are uploaded. @throws the signal's reason */
  readonly progress: (share: number) => void;
}

/** Share of the progress that a download takes where there is one. */
const downloadShare = 0.5;

/** Finds a model and works with its open files, which are closed afterwards. @throws ModelNotFoundError, WeightFileError */
export async function openCheckpoint<Result>(
  model: string | ModelFiles,
  options: LoadModelOptions,
  work: (checkpoint: Checkpoint) => Promise<Result>,
): Promise<Result> {
  const { onProgress, onDownload, dtype: _, ...resolveOptions } = options;
  let downloaded = 0;
  const resolved = (nameOrPath: string) =>
    resolveModel(nameOrPath, {
      ...resolveOptions,
      onProgress: (progress) => {
        onDownload?.(progress);
        if (!progress.overall) return;
        downloaded = (downloadShare * progress.overall.loadedBytes) / progress.overall.totalBytes;
        onProgress?.(downloaded);
      },
    });
  const files = typeof model === 'string' ? await resolved(model) : model;
  const { name } = files;
  const onMessage = options.onMessage ?? ((line: string) => console.warn(line));
  const weights = await openWeights(files);
  try {
    const licence = await modelLicence(files, weights);
    if (licence) options.onMessage?.(`${name}: licence ${describeLicence(licence)}`);
    return await work({
      name,
      files,
      weights,
      licence,
      notice: (line) => onMessage(`${name}: ${line}`),
      progress: (share) => {
        options.signal?.throwIfAborted();
        onProgress?.(downloaded + (1 - downloaded) * share);
      },
    });
  } finally {
    await weights.close();
  }
}
