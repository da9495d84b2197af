import { loadLanguageModel } from '@saccade/models';
import type { ModelEntry } from '../model-entry.ts';

const hubName = 'google/gemma-3-270m';

/** A model whose layers mostly see a window: methods that select tokens act on its three global layers only. */
export const gemma3: ModelEntry = {
  name: 'gemma3-270m',
  title: 'Gemma 3 270M',
  description: `A 270M-parameter base model, 15 of whose 18 layers see a window of 512 tokens (${hubName}).`,
  family: 'language',
  load: (gpu, { signal, onProgress, log }) => loadLanguageModel(gpu, hubName, { signal, onProgress, onMessage: log }),
};
