import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { loadLanguageModel, loadVisionLanguageModel } from '@saccade/models';
import { callerPath } from '../cli/values.ts';
import type { ModelEntry } from '../model-entry.ts';

/** A language model in a local file or folder, or one that sees; undefined where there is none. */
export function modelFromPath(path: string): ModelEntry | undefined {
  const absolute = callerPath(path);
  if (!existsSync(absolute)) return undefined;
  const sees = hasVision(join(absolute, 'config.json'));
  return {
    name: basename(absolute),
    title: basename(absolute),
    description: `A model ${sees ? 'that sees ' : ''}in a local file or folder.`,
    family: sees ? 'vision' : 'language',
    load: (gpu, { signal, onProgress, log }) =>
      (sees ? loadVisionLanguageModel : loadLanguageModel)(gpu, absolute, { signal, onProgress, onMessage: log }),
  };
}

/** Whether a checkpoint's configuration has a part for images; what is wrong with it, loading tells. */
function hasVision(file: string): boolean {
  if (!existsSync(file)) return false;
  try {
    return 'vision_config' in (JSON.parse(readFileSync(file, 'utf8')) as object);
  } catch {
    return false;
  }
}
