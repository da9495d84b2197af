import { openWeights } from '../../weights/open-weights.ts';
import { readModelConfig } from '../../weights/read-model-config.ts';
import type { ModelFiles } from '../types.ts';

/** Opens a model as the loader will. */
export async function assertUsable(files: ModelFiles): Promise<void> {
  const weights = await openWeights(files);
  try {
    await readModelConfig(weights, files);
  } finally {
    await weights.close();
  }
}
