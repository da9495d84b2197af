import type { ModelFiles } from '../resolve/types.ts';
import { ggufConfig } from './gguf/gguf-config.ts';
import { huggingFaceConfig } from './huggingface-config.ts';
import { readJson, readOptionalJson } from './json-file.ts';
import { ModelConfigError, type TransformerConfig } from './model-config.ts';
import type { WeightFile } from './types.ts';

/**
 * The configuration that belongs to open weights: a GGUF file's own, else `config.json` beside the safetensors file.
 * @throws ModelConfigError, WeightFileError
 */
export async function readModelConfig(weights: WeightFile, files: ModelFiles): Promise<TransformerConfig> {
  if (weights.format === 'gguf') return ggufConfig(weights);
  if (!files.names.includes('config.json')) {
    throw new ModelConfigError('missing', `${files.location} has no config.json beside its safetensors file.`);
  }
  return huggingFaceConfig(
    await readJson(files, 'config.json'),
    await readOptionalJson(files, 'generation_config.json'),
  );
}
