import { loadTinyVisionLanguageModel, scenes as model } from '@saccade/tiny-models';
import type { ModelEntry } from '../model-entry.ts';

/** The vision-language model that ships with the workspace: the default of scenarios with images. */
export const scenes: ModelEntry = {
  name: model.name,
  title: model.title,
  description: model.description,
  family: 'vision',
  load: (gpu, { signal, onProgress }) => loadTinyVisionLanguageModel(gpu, model, { signal, onProgress }),
};
