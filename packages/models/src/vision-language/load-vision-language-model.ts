import type { Gpu } from '@saccade/core';
import { Transformer } from '../architectures/transformer/transformer.ts';
import { WeightLoader } from '../architectures/weight-loader.ts';
import { type LoadModelOptions, openCheckpoint } from '../language-model/open-checkpoint.ts';
import type { ModelFiles } from '../resolve/types.ts';
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts';
import { visionLanguageWeights } from '../vision/vision-weights.ts';
import { loadableWeights } from '../weights/loadable-weights.ts';
import { adjustProcessor, type ImageSettings } from './image-settings.ts';
import { readVisionLanguageConfig } from './read-vision-language-config.ts';
import { VisionEncoder } from './vision-encoder.ts';
import { VisionLanguageModel } from './vision-language-model.ts';

export interface LoadVisionLanguageModelOptions extends LoadModelOptions {
  /** How images are brought to the model's size, where that shall differ from the checkpoint's own processor. */
  readonly images?: ImageSettings;
}

/** Share of the progress that the vision tower takes. */
const visionShare = 0.2;

/**
 * Loads a model that sees: LLaVA-1.5, Idefics3 and SmolVLM, or Qwen2-VL, in safetensors under the names of the published checkpoints or of
 * transformers' later ones. Places and progress are those of `loadLanguageModel`.
 *
 * @param model A folder, a name such as `HuggingFaceTB/SmolVLM-256M-Instruct`, or files that were found already.
 * @throws ModelNotFoundError; WeightFileError where weights are missing or have other shapes; ModelConfigError for an architecture or a
 *   processor that is not supported; OutOfMemoryError
 */
export async function loadVisionLanguageModel(
  gpu: Gpu,
  model: string | ModelFiles,
  options: LoadVisionLanguageModelOptions = {},
): Promise<VisionLanguageModel> {
  const { images = {}, dtype } = options;
  return openCheckpoint(model, options, async ({ name, files, weights, licence, notice, progress }) => {
    const config = adjustProcessor(await readVisionLanguageConfig(files), images);
    const tokenizer = await loadTokenizer(weights, config.text, files);
    options.signal?.throwIfAborted();
    const file = visionLanguageWeights(weights);
    const loader = new WeightLoader(gpu, loadableWeights(file, { dtype }));
    try {
      const encoder = await VisionEncoder.load(gpu, loader, config, (share) => progress(visionShare * share));
      const network = await Transformer.load(gpu, name, config.text, file, {
        dtype,
        onNotice: notice,
        onProgress: (share) => progress(visionShare + (1 - visionShare) * share),
      });
      return new VisionLanguageModel(network, tokenizer, {
        config,
        encoder,
        weights: loader.tensors,
        licence,
        maximumPixels: images.maximumPixels,
      });
    } catch (error) {
      loader.dispose();
      throw error;
    }
  });
}
