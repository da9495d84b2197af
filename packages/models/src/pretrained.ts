import { resolveModel } from './resolve/resolve-model.ts';
import type { ModelFiles, ResolveOptions } from './resolve/types.ts';
import { loadTokenizer } from './tokenizer/load-tokenizer.ts';
import type { Tokenizer } from './tokenizer/types.ts';
import type { ModelConfig } from './weights/model-config.ts';
import { openWeights } from './weights/open-weights.ts';
import { readModelConfig } from './weights/read-model-config.ts';
import type { WeightFile } from './weights/types.ts';

/** A model that was found: all that a network is made of, before anything is on the GPU. */
export interface Pretrained {
  /** Where it came from. */
  readonly files: ModelFiles;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Open; the owner closes it. */
  readonly weights: WeightFile;
}

/**
 * Finds a model and opens its weights, configuration and tokenizer.
 *
 * @param nameOrPath As for {@link resolveModel}.
 * @throws ModelNotFoundError, WeightFileError, ModelConfigError, TokenizerError
 */
export async function openPretrained(nameOrPath: string, options: ResolveOptions = {}): Promise<Pretrained> {
  const files = await resolveModel(nameOrPath, options);
  const weights = await openWeights(files);
  try {
    const config = await readModelConfig(weights, files);
    return { files, config, tokenizer: await loadTokenizer(weights, config, files), weights };
  } catch (error) {
    await weights.close();
    throw error;
  }
}
