import type { Gpu } from '@saccade/core';
import type { ModelFiles } from '../../resolve/types.ts';
import { readJson } from '../../weights/json-file.ts';
import { type LoadDtype, loadableWeights } from '../../weights/loadable-weights.ts';
import { ModelConfigError } from '../../weights/model-config.ts';
import { openWeights } from '../../weights/open-weights.ts';
import { transformerConfig } from '../config/transformer-config.ts';
import { CogVideoX } from './cogvideox.ts';
import type { DenoisingNetwork } from './denoising-network.ts';
import { Dit } from './dit.ts';
import { PixArt } from './pixart.ts';

export interface NetworkLoadOptions {
  /** Element types of the weights in GPU memory; default `auto`: as the file has them. */
  readonly dtype?: LoadDtype | undefined;
  /** Called with the share of the weights that is loaded, in [0, 1]; what it throws ends the loading. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/**
 * Loads a diffusion transformer from a folder in diffusers' form: `config.json` and safetensors.
 * @param name Name that the user knows the model by.
 * @throws ModelConfigError, WeightFileError, OutOfMemoryError
 */
export async function loadNetwork(
  gpu: Gpu,
  name: string,
  files: ModelFiles,
  { dtype, onProgress }: NetworkLoadOptions = {},
): Promise<DenoisingNetwork> {
  if (!files.names.includes('config.json')) {
    throw new ModelConfigError('missing', `${files.location} has no config.json of a transformer.`);
  }
  const config = transformerConfig(await readJson(files, 'config.json'));
  const weights = await openWeights(files);
  try {
    const source = { name, file: loadableWeights(weights, { dtype }), onProgress };
    switch (config.architecture) {
      case 'dit':
        return await Dit.load(gpu, { ...source, config });
      case 'pixart':
        return await PixArt.load(gpu, { ...source, config });
      case 'cogvideox':
        return await CogVideoX.load(gpu, { ...source, config });
    }
  } finally {
    await weights.close();
  }
}
