import { loadLanguageModel } from '@saccade/models';
import type { ModelEntry } from '../model-entry.ts';

const hubName = 'HuggingFaceTB/SmolLM2-135M-Instruct';

/** The bench's default model. */
export const smollm2: ModelEntry = {
  name: 'smollm2-135m-instruct',
  title: 'SmolLM2-135M-Instruct',
  description: `A 135M-parameter chat model of the Llama family, trained for 8,192 tokens (${hubName}).`,
  family: 'language',
  load: (gpu, { signal, onProgress, log }) => loadLanguageModel(gpu, hubName, { signal, onProgress, onMessage: log }),
};
