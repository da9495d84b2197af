import { resolveModel } from '../src/resolve/resolve-model.ts';
import { type ModelFiles, ModelNotFoundError } from '../src/resolve/types.ts';

/**
 * The real SmolLM2 as a GGUF file, out of the cache or fetched once; undefined where it cannot be had, which is said, so that
 * tests that need it can be skipped.
 */
export async function realModel(): Promise<ModelFiles | undefined> {
  try {
    return await resolveModel('HuggingFaceTB/SmolLM2-135M-Instruct');
  } catch (error) {
    if (!ModelNotFoundError.isInstance(error)) throw error;
    console.warn(`Tests on the real model are skipped. ${error.message}`);
    return undefined;
  }
}
