import { readOptionalJson } from '../weights/json-file.ts';
import { diffusersNames } from '../weights/open-weights.ts';
import { shardNames } from '../weights/safetensors/sharded-safetensors.ts';
import { WeightFileError } from '../weights/weight-file-error.ts';
import type { ModelFiles } from './types.ts';

/** Subfolders of a diffusers pipeline that are read. */
export const pipelineParts = ['transformer', 'vae', 'scheduler'] as const;
export type PipelinePart = (typeof pipelineParts)[number];

/** Whether a model's files lie in the subfolders of a pipeline, rather than being a transformer alone. */
export function isPipeline({ names }: Pick<ModelFiles, 'names'>): boolean {
  return names.includes('transformer/config.json');
}

/** The files of one subfolder as a model of its own; undefined where there are none. */
export function pipelinePart(files: ModelFiles, part: PipelinePart): ModelFiles | undefined {
  const prefix = `${part}/`;
  const names = files.names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  if (names.length === 0) return undefined;
  return {
    name: files.name,
    source: files.source,
    location: `${files.location}/${part}`,
    names,
    async open(name) {
      if (!names.includes(name)) throw new WeightFileError('not-found', `${files.location}/${part} has no ${name}.`);
      return files.open(prefix + name);
    },
  };
}

/** The first file that a pipeline, or a transformer alone, lacks; undefined where all are there. */
export async function lackingPipelineFile(files: ModelFiles): Promise<string | undefined> {
  if (!isPipeline(files)) return lackingIn(files, '');
  const index = await readOptionalJson(files, 'model_index.json');
  const decodes = typeof index === 'object' && index !== null && 'vae' in index;
  const transformer = await lackingIn(pipelinePart(files, 'transformer') as ModelFiles, 'transformer/');
  if (transformer !== undefined || !decodes) return transformer;
  const vae = pipelinePart(files, 'vae');
  return vae ? lackingIn(vae, 'vae/') : 'vae/config.json';
}

async function lackingIn(files: ModelFiles, prefix: string): Promise<string | undefined> {
  const { names } = files;
  const [whole, index] = diffusersNames;
  if (!names.includes('config.json')) return `${prefix}config.json`;
  if (names.includes(whole)) return undefined;
  if (!names.includes(index)) return prefix + whole;
  const lacking = shardNames(await readOptionalJson(files, index)).find((name) => !names.includes(name));
  return lacking === undefined ? undefined : prefix + lacking;
}
