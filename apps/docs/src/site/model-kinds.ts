import type { ModelFacts, Phase } from '@saccade/core';

/** A kind of model, as methods see it: what its facts say wherever it was loaded from. */
export interface ModelKind {
  readonly title: string;
  /** Models of the kind that `@saccade/models` loads. */
  readonly examples: string;
  readonly phases: readonly Phase[];
  readonly facts: ModelFacts;
}

const common = {
  layers: 8,
  layerKinds: Array.from({ length: 8 }, () => 'global' as const),
  heads: 8,
  kvHeads: 8,
  headSize: 64,
  hiddenSize: 512,
  vocabularySize: 32_000,
  contextLength: 4096,
};

/** Every kind of model that methods run with. */
export const modelKinds: readonly ModelKind[] = [
  {
    title: 'Text',
    examples: 'Llama, SmolLM2, Qwen2/3, Gemma 3, GPT-NeoX, GPT-2',
    phases: ['prefill', 'decode'],
    facts: { ...common, name: 'a text model', architecture: 'llama', causal: true },
  },
  {
    title: 'Text encoder',
    examples: 'BERT',
    phases: ['encode'],
    facts: { ...common, name: 'an encoder', architecture: 'bert', causal: false },
  },
  {
    title: 'Sees images',
    examples: 'LLaVA-1.5, SmolVLM, Qwen2-VL',
    phases: ['prefill', 'decode'],
    facts: { ...common, name: 'a model that sees', architecture: 'llava', causal: true, features: ['imageSpans'] },
  },
  {
    title: 'Masked diffusion',
    examples: 'LLaDA, Dream',
    phases: ['encode', 'denoise'],
    facts: {
      ...common,
      name: 'a masked-diffusion model',
      architecture: 'llada',
      causal: false,
      phases: ['encode', 'denoise'],
      denoisingSteps: 64,
    },
  },
  {
    title: 'Images, videos',
    examples: 'DiT, PixArt, CogVideoX',
    phases: ['denoise'],
    facts: {
      ...common,
      name: 'a diffusion transformer',
      architecture: 'dit',
      causal: false,
      phases: ['denoise'],
      denoisingSteps: 20,
      tokenGrid: { height: 32, width: 32, textTokens: 0, textFirst: false },
    },
  },
];
