import { loadVisionLanguageModel } from '@saccade/models';
import type { ModelEntry } from '../model-entry.ts';

const hubName = 'HuggingFaceTB/SmolVLM-256M-Instruct';

/** Pictures of the scenarios are small: they are not split into tiles. */
export const smolvlm: ModelEntry = {
  name: 'smolvlm-256m-instruct',
  title: 'SmolVLM-256M-Instruct',
  description: `A 256M-parameter chat model that sees (${hubName}).`,
  family: 'vision',
  load: (gpu, { signal, onProgress, log }) =>
    loadVisionLanguageModel(gpu, hubName, { signal, onProgress, onMessage: log, images: { split: false } }),
};
