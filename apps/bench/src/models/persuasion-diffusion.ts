import { loadTinyMaskedDiffusion, persuasionDiffusion as model } from '@saccade/tiny-models';
import type { ModelEntry } from '../model-entry.ts';

/** The masked-diffusion byte model that ships with the workspace. */
export const persuasionDiffusion: ModelEntry = {
  name: model.name,
  title: model.title,
  description: model.description,
  family: 'masked-diffusion',
  load: (gpu, { signal, onProgress }) => loadTinyMaskedDiffusion(gpu, model, { signal, onProgress }),
};
