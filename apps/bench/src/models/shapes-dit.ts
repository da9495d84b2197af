import { loadTinyDiffusion, shapesDit as model } from '@saccade/tiny-models';
import type { ModelEntry } from '../model-entry.ts';
import { PipelineModel } from '../scenarios/diffusion/pipeline-model.ts';

/** The diffusion transformer that ships with the workspace. */
export const shapesDit: ModelEntry = {
  name: model.name,
  title: model.title,
  description: model.description,
  family: 'diffusion',
  classes: model.classes,
  load: async (gpu, { signal, onProgress }) =>
    new PipelineModel(await loadTinyDiffusion(gpu, model, { signal, onProgress })),
};
