import type { ModelFiles } from '../resolve/types.ts';
import { ggufMagic, openGguf } from './gguf/gguf-file.ts';
import { readJson } from './json-file.ts';
import { openSafetensors } from './safetensors/safetensors-file.ts';
import { openShardedSafetensors, safetensorsIndexName } from './safetensors/sharded-safetensors.ts';
import type { ByteSource, WeightFile } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';

/** Weights as diffusers names them: one file, or shards with their index. */
export const diffusersNames = [
  'diffusion_pytorch_model.safetensors',
  'diffusion_pytorch_model.safetensors.index.json',
] as const;

/**
 * Opens the weights of a model: the file that was named, else `model.safetensors` or its shards, or what
 * diffusers calls them, else the only GGUF or
 * safetensors file of the folder.
 * @throws WeightFileError
 */
export async function openWeights(files: ModelFiles): Promise<WeightFile> {
  const chosen = chooseWeights(files);
  if (chosen.endsWith('.index.json')) {
    return openShardedSafetensors(await readJson(files, chosen), (name) => files.open(name));
  }
  return openWeightSource(await files.open(chosen));
}

/** Opens one GGUF or safetensors file, told apart by its first bytes. Closes the source if it cannot be used. */
export async function openWeightSource(source: ByteSource): Promise<WeightFile> {
  try {
    const head = source.size < 4 ? 0 : new DataView((await source.read(0, 4)).buffer).getUint32(0, true);
    return await (head === ggufMagic ? openGguf(source) : openSafetensors(source));
  } catch (error) {
    await source.close();
    throw error;
  }
}

function chooseWeights({ names, weights, location }: ModelFiles): string {
  if (weights) return weights;
  for (const name of ['model.safetensors', safetensorsIndexName, ...diffusersNames]) {
    if (names.includes(name)) return name;
  }
  for (const ending of ['.gguf', '.safetensors']) {
    const [first, ...others] = names.filter((name) => name.endsWith(ending));
    if (first && others.length === 0) return first;
    if (first) {
      throw new WeightFileError(
        'unsupported',
        `${location} holds several weight files (${[first, ...others].join(', ')}); name one.`,
      );
    }
  }
  throw new WeightFileError('not-found', `${location} holds neither a .safetensors nor a .gguf file.`);
}
