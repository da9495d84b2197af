import { pathToFileURL } from 'node:url';
import { type ModelFiles, modelFilesFromUrls } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';

/** A diffusers repository made of golden checkpoints: a DiT, the autoencoder and a scheduler. */
export function goldenPipeline(scheduler = 'scheduler'): ModelFiles {
  const url = (path: string) => pathToFileURL(goldenPath(`diffusion/${path}`));
  const weights = 'diffusion_pytorch_model.safetensors';
  return modelFilesFromUrls('golden-pipeline', {
    'transformer/config.json': url('dit/config.json'),
    [`transformer/${weights}`]: url(`dit/${weights}`),
    'vae/config.json': url('autoencoder/config.json'),
    [`vae/${weights}`]: url(`autoencoder/${weights}`),
    'scheduler/scheduler_config.json': url(`${scheduler}.json`),
  });
}
