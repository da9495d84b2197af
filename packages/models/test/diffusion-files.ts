import { pathToFileURL } from 'node:url';
import { type ModelFiles, modelFilesFromUrls } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';

/** A diffusers repository made of golden checkpoints: a transformer, the autoencoder and a scheduler. */
export function goldenPipeline(scheduler = 'scheduler', transformer = 'dit'): ModelFiles {
  const url = (path: string) => pathToFileURL(goldenPath(`diffusion/${path}`));
  const weights = 'diffusion_pytorch_model.safetensors';
  return modelFilesFromUrls('golden-pipeline', {
    'transformer/config.json': url(`${transformer}/config.json`),
    [`transformer/${weights}`]: url(`${transformer}/${weights}`),
    'vae/config.json': url('autoencoder/config.json'),
    [`vae/${weights}`]: url(`autoencoder/${weights}`),
    'scheduler/scheduler_config.json': url(`${scheduler}.json`),
  });
}
