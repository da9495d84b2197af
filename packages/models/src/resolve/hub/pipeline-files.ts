import { diffusersNames } from '../../weights/open-weights.ts';
import { shardNames } from '../../weights/safetensors/sharded-safetensors.ts';
import { SourceMiss } from '../model-source.ts';
import { pipelineParts } from '../pipeline-layout.ts';
import type { HubProgress } from './hub-progress.ts';
import type { HubFile, HubRepository } from './hub-repository.ts';
import { parseIndex, type TakeFile } from './model-files.ts';

/**
 * Takes the files of a repository that make a diffusion model: configurations and weights of transformer, autoencoder and scheduler
 * in their subfolders, or of a transformer alone.
 *
 * @throws SourceMiss where the repository has no such weights
 */
export async function takePipelineFiles(
  repository: HubRepository,
  progress: HubProgress,
  take: TakeFile,
): Promise<void> {
  const small = ['config.json', 'scheduler_config.json'];
  const folders = ['', ...pipelineParts.map((part) => `${part}/`)];
  const asked = folders.flatMap((folder) => [...small, ...diffusersNames].map((name) => folder + name));
  const found = new Map(
    (await repository.files(['model_index.json', 'README.md', ...asked])).map((file) => [file.path, file]),
  );
  const pipeline = found.has('transformer/config.json');
  if (!pipeline && !found.has('config.json')) {
    throw new SourceMiss('the repository has neither transformer/config.json nor config.json');
  }
  const used = pipeline ? folders.slice(1) : [''];
  const chosen = ['model_index.json', 'README.md', ...used.flatMap((folder) => small.map((name) => folder + name))];
  const wanted = chosen.flatMap((name) => found.get(name) ?? []);
  const [whole, index] = diffusersNames;
  const indexes: { readonly folder: string; readonly file: HubFile }[] = [];
  for (const folder of used) {
    if (!found.has(`${folder}config.json`)) continue;
    const [file, shards] = [found.get(folder + whole), found.get(folder + index)];
    if (file) wanted.push(file);
    else if (shards) indexes.push({ folder, file: shards });
    else if (folder !== 'scheduler/') throw new SourceMiss(`the repository has no ${folder}${whole}`);
  }
  progress.expect([...wanted, ...indexes.map(({ file }) => file)], indexes.length === 0);
  const contents = await Promise.all(
    indexes.map(async ({ folder, file }) =>
      shardNames(parseIndex(await (await take(file)).text())).map((name) => folder + name),
    ),
  );
  const names = contents.flat();
  const shards = names.length === 0 ? [] : await repository.files(names);
  const missing = names.find((name) => !shards.some(({ path }) => path === name));
  if (missing !== undefined) throw new SourceMiss(`the repository has no ${missing}`);
  if (indexes.length > 0) progress.expect(shards, true);
  for (const file of [...wanted, ...shards]) await take(file);
}
