import type { Gpu } from '@saccade/core';
import { Transformer } from '../architectures/transformer/transformer.ts';
import { describeLicence, type ModelLicence, modelLicence } from '../resolve/licence.ts';
import { resolveModel } from '../resolve/resolve-model.ts';
import type { DownloadProgress, ModelFiles, ResolveOptions } from '../resolve/types.ts';
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import type { LoadDtype } from '../weights/loadable-weights.ts';
import type { TransformerConfig } from '../weights/model-config.ts';
import { openWeights } from '../weights/open-weights.ts';
import { readModelConfig } from '../weights/read-model-config.ts';
import { LanguageModel } from './language-model.ts';

export interface LoadLanguageModelOptions extends Omit<ResolveOptions, 'onProgress'> {
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

/** Share of the progress that a download takes where there is one. */
const downloadShare = 0.5;

/**
 * Loads a language model: a local file or folder, else from the cache, the Hugging Face hub or a Python package that
 * carries the weights. The model's licence, where it names one, is told to `onMessage`
 * and stays in `model.licence`.
 *
 * @param model A path, a name such as `HuggingFaceTB/SmolLM2-135M-Instruct`, or files that were found already.
 * @throws ModelNotFoundError with what happened at each place; WeightFileError for a truncated or corrupt file;
 *   ModelConfigError for an architecture that is not supported; OutOfMemoryError.
 */
export async function loadLanguageModel(
  gpu: Gpu,
  model: string | ModelFiles,
  options: LoadLanguageModelOptions = {},
): Promise<LanguageModel> {
  const { network, tokenizer, licence } = await loadNetwork(gpu, model, options);
  return new LanguageModel(network, tokenizer, { licence });
}

/** What a checkpoint holds. */
export interface LoadedNetwork {
  readonly network: Transformer;
  readonly config: TransformerConfig;
  readonly tokenizer: Tokenizer;
  readonly licence: ModelLicence | undefined;
}

/**
 * The network and the tokenizer of a checkpoint, as {@link loadLanguageModel} finds them.
 * @param check Looks at the configuration before weights are loaded; throws where it is of another kind than asked for.
 */
export async function loadNetwork(
  gpu: Gpu,
  model: string | ModelFiles,
  options: LoadLanguageModelOptions,
  check: (config: TransformerConfig, name: string) => void = () => undefined,
): Promise<LoadedNetwork> {
  const { onProgress, onDownload, dtype, ...resolveOptions } = options;
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
    const config = await readModelConfig(weights, files);
    check(config, name);
    const tokenizer = await loadTokenizer(weights, config, files);
    options.signal?.throwIfAborted();
    const network = await Transformer.load(gpu, name, config, weights, {
      dtype,
      onNotice: (line) => onMessage(`${name}: ${line}`),
      onProgress: (share) => {
        options.signal?.throwIfAborted();
        onProgress?.(downloaded + (1 - downloaded) * share);
      },
    });
    return { network, config, tokenizer, licence };
  } finally {
    await weights.close();
  }
}
