import { quote } from '../quote.ts';
import type { ByteSource, WeightFile } from '../types.ts';
import { WeightFileError } from '../weight-file-error.ts';
import { type UnsupportedEntry, type WeightEntry, weightTable } from '../weight-table.ts';
import { readSafetensors } from './safetensors-file.ts';

/** Name of the file that tells which shard holds which tensor. */
export const safetensorsIndexName = 'model.safetensors.index.json';

/**
 * Opens a checkpoint that is spread over several safetensors files.
 *
 * @param index The parsed `model.safetensors.index.json`.
 * @param open Opens a shard by name.
 * @throws WeightFileError `corrupt` where index and shards contradict each other, and as `openSafetensors`
 */
export async function openShardedSafetensors(
  index: unknown,
  open: (name: string) => Promise<ByteSource>,
): Promise<WeightFile> {
  const shardOf = readWeightMap(index);
  const sources: ByteSource[] = [];
  try {
    const found = new Map<string, WeightEntry | UnsupportedEntry>();
    const metadata = new Map<string, string>();
    for (const shard of new Set(shardOf.values())) {
      const source = await open(shard);
      sources.push(source);
      const content = await readSafetensors(source);
      for (const [key, value] of content.metadata) metadata.set(key, value);
      for (const [name, entry] of content.entries) if (shardOf.get(name) === shard) found.set(name, entry);
    }
    for (const [name, shard] of shardOf) {
      if (!found.has(name)) throw corrupt(`the tensor ${quote(name)} is not in ${shard}`);
    }
    return weightTable('safetensors', metadata, found, sources);
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

/** Names of the shards, as the index lists them. */
export function shardNames(index: unknown): string[] {
  return [...new Set(readWeightMap(index).values())];
}

function readWeightMap(index: unknown): Map<string, string> {
  const weightMap = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined;
  if (typeof weightMap !== 'object' || weightMap === null) throw corrupt('it has no weight_map');
  return new Map(
    Object.entries(weightMap).map(([name, shard]: [string, unknown]) => {
      // A shard lies beside its index: no other folder can be reached.
      if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard)) {
        throw corrupt(`it gives no file name for ${quote(name)}`);
      }
      return [name, shard];
    }),
  );
}

function corrupt(reason: string): WeightFileError {
  return new WeightFileError('corrupt', `${safetensorsIndexName} is corrupt: ${reason}.`);
}
