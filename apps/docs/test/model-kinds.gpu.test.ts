import { pathToFileURL } from 'node:url';
import type { ModelFacts } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import {
  loadDiffusionModel,
  loadLanguageModel,
  loadMaskedDiffusionModel,
  loadVisionLanguageModel,
  modelFilesFromUrls,
} from '@saccade/models';
import { expect, it } from 'vitest';
import { modelKinds } from '../src/site/model-kinds.ts';
import { workspaceFile } from './shipped-models.ts';

const golden = (path: string) => workspaceFile(`packages/models/test/golden/${path}`);
const checkpoint = (name: string) => workspaceFile(`packages/tiny-models/checkpoints/${name}`);

/** What decides whether a method can run. */
const capabilities = ({ causal, phases, features, tokenGrid }: ModelFacts) => ({
  causal,
  phases: phases ?? (causal ? ['prefill', 'decode'] : ['encode']),
  imageSpans: features?.includes('imageSpans') ?? false,
  grid: tokenGrid !== undefined,
});

const loaders: Readonly<Record<string, () => Promise<{ readonly facts: ModelFacts; dispose(): void }>>> = {
  Text: async () => loadLanguageModel(await sharedGpu(), checkpoint('persuasion-bytes')),
  'Text encoder': async () => {
    // Any tokenizer will do.
    const url = (path: string) => pathToFileURL(golden(path));
    const files = {
      'config.json': url('bert/config.json'),
      'model.safetensors': url('bert/model.safetensors'),
      'tokenizer.json': url('small-tokenizer/tokenizer.json'),
    };
    return loadLanguageModel(await sharedGpu(), modelFilesFromUrls('bert', files));
  },
  'Sees images': async () => loadVisionLanguageModel(await sharedGpu(), golden('llava')),
  'Masked diffusion': async () => loadMaskedDiffusionModel(await sharedGpu(), checkpoint('persuasion-diffusion')),
  'Images, videos': async () => {
    const pipeline = await loadDiffusionModel(await sharedGpu(), checkpoint('shapes-dit'));
    return { facts: pipeline.model.facts, dispose: () => pipeline.dispose() };
  },
};

it.each(modelKinds)('the table knows models of the kind "$title" as they are', async ({ title, phases, facts }) => {
  const model = await (loaders[title] as () => ReturnType<(typeof loaders)[string]>)();
  expect(capabilities(facts)).toEqual(capabilities(model.facts));
  expect(phases).toEqual(capabilities(facts).phases);
  model.dispose();
});
