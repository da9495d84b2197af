import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as core from '@saccade/core';
import type * as models from '@saccade/models';

/** A file of the workspace. */
export const workspaceFile = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const golden = (path: string) => workspaceFile(`packages/models/test/golden/${path}`);
const checkpoint = (name: string) => workspaceFile(`packages/tiny-models/checkpoints/${name}`);

/** Devices that examples opened. */
export const opened: core.Gpu[] = [];

/** The core, remembering what is opened. */
export function watchedCore(real: typeof core): typeof core {
  return {
    ...real,
    openGpu: async (options) => {
      const gpu = await real.openGpu(options);
      opened.push(gpu);
      return gpu;
    },
  };
}

/** The loaders, which give the workspace's small models for every name: published ones would have to be downloaded. */
export function shippedModels(real: typeof models): typeof models {
  return {
    ...real,
    async loadLanguageModel(gpu, _name, options) {
      const model = await real.loadLanguageModel(gpu, checkpoint('persuasion-bytes'), options);
      const generate = model.generate.bind(model) as (prompt: unknown, options: unknown) => never;
      // It knows no chat: of a conversation it continues the texts.
      return Object.assign(model, {
        generate: (prompt: unknown, given: unknown) =>
          generate(isConversation(prompt) ? joined(prompt) : prompt, given),
      });
    },
    loadMaskedDiffusionModel: (gpu, _name, options) =>
      real.loadMaskedDiffusionModel(gpu, checkpoint('persuasion-diffusion'), options),
    loadDiffusionModel: (gpu, _name, options) => real.loadDiffusionModel(gpu, checkpoint('shapes-dit'), options),
    loadVisionLanguageModel: (gpu, _name, options) => real.loadVisionLanguageModel(gpu, golden('idefics3'), options),
  };
}

const isConversation = (prompt: unknown): prompt is readonly core.ChatMessage[] =>
  Array.isArray(prompt) && typeof prompt[0] === 'object';
const joined = (messages: readonly core.ChatMessage[]) => messages.map(({ content }) => content).join('\n');

/** What examples say about the reader's own files and models, and what stands for it here. */
export const substitutes: Readonly<Record<string, string>> = {
  "'table.jpg'": JSON.stringify(golden('images/rgb.png')),
  "'street.jpg'": JSON.stringify(golden('images/rgb.png')),
  "'novel.txt'": JSON.stringify(workspaceFile('apps/bench/data/persuasion.txt')),
};

/** Where examples write. */
const runs = mkdtempSync(join(tmpdir(), 'saccade-examples-'));
process.once('exit', () => rmSync(runs, { recursive: true, force: true }));

/** Sizes of published models, or of long runs, and what stands for them here; by example. */
export const sizes: Readonly<Record<string, readonly (readonly [published: string, here: string])[]>> = {
  'packages-core-2': [
    ['const steps = 300;', 'const steps = 3;'],
    ['warmup: 20', 'warmup: 1'],
  ],
  'packages-based-1': [['steps: 30', 'steps: 3']],
  'packages-gated-attention-1': [['steps: 40', 'steps: 4']],
  'packages-gift-1': [["gift(publishedSettings['llava-1.5-7b'])", 'gift()']],
  'packages-hylra-1': [['novel.repeat(4)', 'novel']],
  'packages-models-1': [["'Why is the sky blue?' }]", "'Why is the sky blue?' }], { maxTokens: 16 }"]],
  'packages-sparsed-2': [['steps: 128', 'steps: 16']],
  'packages-tiny-models-1': [['maxTokens: 200', 'maxTokens: 32']],
  'packages-tiny-models-3': [['steps: 20', 'steps: 4']],
  'docs-guides-train-1': [
    ['const steps = 3000;', 'const steps = 2;'],
    ['warmup: 100', 'warmup: 1'],
    ["'runs/novel.safetensors'", JSON.stringify(join(runs, 'novel.safetensors'))],
    ["'runs/novel.jsonl'", JSON.stringify(join(runs, 'novel.jsonl'))],
  ],
  'packages-gna-2': [['classLabel: 207', 'classLabel: 7, steps: 4']],
  'packages-re-ttention-2': [['classLabel: 207, steps: 20', 'classLabel: 7, steps: 10']],
  'packages-var-1': [['sinkDimensions: [1415, 2533]', 'sinkDimensions: [14, 25]']],
};

/** Examples that stay unrun, and why. */
export const unrun: Readonly<Record<string, string>> = {
  'packages-models-4': 'asks for one model that is not shipped',
  'tools-gpu-runner-2': 'a configuration file of Vitest',
  'tools-gpu-runner-3': 'starts a program of the reader',
};
