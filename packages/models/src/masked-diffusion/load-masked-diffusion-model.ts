import type { Gpu } from '@saccade/core';
import { type LoadLanguageModelOptions, loadNetwork } from '../language-model/load-language-model.ts';
import type { ModelFiles } from '../resolve/types.ts';
import { type MaskedDiffusionConfig, ModelConfigError } from '../weights/model-config.ts';
import { MaskedDiffusionModel } from './masked-diffusion-model.ts';

/**
 * Loads a masked-diffusion language model (LLaDA, Dream) from where `loadLanguageModel` would.
 *
 * @param model A path, a name such as `GSAI-ML/LLaDA-8B-Instruct`, or files that were found already.
 * @throws ModelConfigError for a model of another kind; as `loadLanguageModel`
 */
export async function loadMaskedDiffusionModel(
  gpu: Gpu,
  model: string | ModelFiles,
  options: LoadLanguageModelOptions = {},
): Promise<MaskedDiffusionModel> {
  const { network, config, tokenizer, licence } = await loadNetwork(gpu, model, options, (given, name) => {
    if (given.maskedDiffusion) return;
    throw new ModelConfigError(
      'unsupported',
      `${name} is a ${given.architecture}, which fills in no masks over several steps; supported: llada, dream. Load it with loadLanguageModel.`,
    );
  });
  return new MaskedDiffusionModel(network, tokenizer, config.maskedDiffusion as MaskedDiffusionConfig, { licence });
}
