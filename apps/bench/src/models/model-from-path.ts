import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { loadLanguageModel } from '@saccade/models';
import { callerPath } from '../cli/values.ts';
import type { ModelEntry } from '../model-entry.ts';

/** A language model in a local file or folder; undefined where there is none. */
export function modelFromPath(path: string): ModelEntry | undefined {
  const absolute = callerPath(path);
  if (!existsSync(absolute)) return undefined;
  return {
    name: basename(absolute),
    title: basename(absolute),
    description: 'A model in a local file or folder.',
    family: 'language',
    load: (gpu, { signal, onProgress, log }) =>
      loadLanguageModel(gpu, absolute, { signal, onProgress, onMessage: log }),
  };
}
