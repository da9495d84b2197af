import { safetensorsIndexName, shardNames } from '../../weights/safetensors/sharded-safetensors.ts';
import { WeightFileError } from '../../weights/weight-file-error.ts';
import { SourceMiss } from '../model-source.ts';
import type { HubProgress } from './hub-progress.ts';
import type { HubFile, HubRepository } from './hub-repository.ts';

/** Files that are taken where a repository has them. */
const optionalNames = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'chat_template.json',
  'preprocessor_config.json',
  'processor_config.json',
  'README.md',
];

/** Brings one file; its result gives the content of small ones. */
export type TakeFile = (file: HubFile) => Promise<{ text(): Promise<string> }>;

/**
 * Takes the files of a repository that make a model: configuration, tokenizer, model card, and `model.safetensors` or its shards,
 * or the one weight file that is asked for.
 *
 * @param weights Name of a GGUF or safetensors file of the repository.
 * @param progress Learns which files will be taken.
 * @throws SourceMiss where the repository has no such weights
 */
export async function takeModelFiles(
  repository: HubRepository,
  weights: string | undefined,
  progress: HubProgress,
  take: TakeFile,
): Promise<void> {
  const whole = weights ?? 'model.safetensors';
  const found = new Map(
    (await repository.files([...optionalNames, whole, safetensorsIndexName])).map((file) => [file.path, file]),
  );
  const file = found.get(whole);
  const index = weights === undefined && !file ? found.get(safetensorsIndexName) : undefined;
  if (!file && !index) {
    throw new SourceMiss(
      weights === undefined
        ? 'the repository has neither model.safetensors nor its shards; name one of its GGUF files with the option weights'
        : `the repository has no ${weights}`,
    );
  }
  if (!whole.endsWith('.gguf') && !found.has('config.json')) throw new SourceMiss('the repository has no config.json');
  const small = optionalNames.flatMap((name) => found.get(name) ?? []);
  progress.expect([...small, file ?? (index as HubFile)], file !== undefined);
  await Promise.all(small.map(take));
  if (file) {
    await take(file);
    return;
  }
  const names = shardNames(parseIndex(await (await take(index as HubFile)).text()));
  const shards = new Map((await repository.files(names)).map((shard) => [shard.path, shard]));
  for (const name of names) if (!shards.has(name)) throw new SourceMiss(`the repository has no ${name}`);
  progress.expect([...shards.values()], true);
  for (const shard of shards.values()) await take(shard);
}

/** @throws WeightFileError `corrupt` */
export function parseIndex(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeightFileError('corrupt', `${safetensorsIndexName} is not JSON.`, { cause });
  }
}
