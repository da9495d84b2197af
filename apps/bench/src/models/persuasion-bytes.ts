import { loadTinyModel, persuasionBytes as model } from '@saccade/tiny-models';
import type { ModelEntry } from '../model-entry.ts';

/** The byte model that ships with the workspace: what runs where no other model can be had. */
export const persuasionBytes: ModelEntry = {
  name: model.name,
  title: model.title,
  description: model.description,
  family: 'language',
  load: (gpu, { signal, onProgress }) => loadTinyModel(gpu, model, { signal, onProgress }),
};
