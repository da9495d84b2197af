import { resolveModel } from '../src/resolve/resolve-model.ts';
import { type ModelFiles, ModelNotFoundError, type ResolveOptions } from '../src/resolve/types.ts';

/**
 * A real model, by default SmolLM2 as a GGUF file, out of the cache or fetched once; undefined where it cannot be had, which is
 * said, so that tests that need it can be skipped.
 */
export async function realModel(
  name = 'HuggingFaceTB/SmolLM2-135M-Instruct',
  options: ResolveOptions = {},
): Promise<ModelFiles | undefined> {
  try {
    return await resolveModel(name, options);
  } catch (error) {
    if (!ModelNotFoundError.isInstance(error)) throw error;
    console.warn(`Tests on a real model are skipped. ${error.message}`);
    return undefined;
  }
}
