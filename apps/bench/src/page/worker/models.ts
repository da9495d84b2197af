import type { Gpu, ModelHandle } from '@saccade/core';
import { loadLanguageModel, MaskedDiffusionModel, modelFilesFromUrls, VisionLanguageModel } from '@saccade/models';
import type { ModelEntry } from '../../model-entry.ts';
import { PipelineModel } from '../../scenarios/diffusion/pipeline-model.ts';
import type { LoadedModel, ModelChoice } from '../protocol.ts';

/** An entry of a choice that the listing does not have. */
export function entryOf(choice: Exclude<ModelChoice, { kind: 'listed' }>): ModelEntry {
  const { name } = choice;
  const shared = { name, title: name, family: 'language' } as const;
  if (choice.kind === 'hub') {
    return {
      ...shared,
      description: 'A language model of the Hugging Face hub.',
      load: (gpu, { signal, onProgress, log }) => loadLanguageModel(gpu, name, { signal, onProgress, onMessage: log }),
    };
  }
  return {
    ...shared,
    description: 'A language model in files of yours.',
    load: (gpu, options) => loadFiles(gpu, name, choice.files, options),
  };
}

async function loadFiles(
  gpu: Gpu,
  name: string,
  files: readonly File[],
  { signal, onProgress, log }: Parameters<ModelEntry['load']>[1],
): Promise<ModelHandle> {
  const urls = files.map((file) => [file.name, new URL(URL.createObjectURL(file))] as const);
  const single = files.length === 1 ? files[0] : undefined;
  try {
    const found = {
      ...modelFilesFromUrls(name, Object.fromEntries(urls)),
      ...(single ? { weights: single.name } : {}),
    };
    return await loadLanguageModel(gpu, found, { signal, onProgress, onMessage: log });
  } finally {
    for (const [, url] of urls) URL.revokeObjectURL(url.href);
  }
}

/** What the page shows of a model, and needs for its controls. */
export function describeModel(entry: ModelEntry, handle: ModelHandle): LoadedModel {
  const { layers, contextLength } = handle.facts;
  const network = handle instanceof PipelineModel ? handle.pipeline.model.network : undefined;
  const grid = network?.grid(network.sampleSize);
  const family =
    handle instanceof MaskedDiffusionModel
      ? 'masked-diffusion'
      : handle instanceof VisionLanguageModel
        ? 'vision'
        : entry.family;
  const weightBytes = 'weightBytes' in handle ? Number(handle.weightBytes) : handle.gpu.stats().liveBytes;
  return {
    name: entry.name,
    title: entry.title,
    family,
    layers,
    contextLength,
    weightBytes,
    grid: grid && { rows: grid.height, columns: grid.width },
  };
}
