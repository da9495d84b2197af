import type { StoredPolicy } from './stored-policy.ts';

/** Policies of well-known models, found by `npx pnpm bench run hylra/policy`. */
export const shippedPolicies: readonly StoredPolicy[] = [
  {
    format: 'saccade-hylra-policy',
    version: 1,
    name: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    fingerprint: {
      architecture: 'llama',
      layers: 30,
      heads: 9,
      kvHeads: 3,
      headSize: 64,
      hiddenSize: 576,
      vocabularySize: 49_152,
      globalLayers: 30,
    },
    // biome-ignore format: read by layer
    policy: [-1, -1, 1, 1, -1, 4, 4, 4, 4, 4, 4, -1, -1, 12, 12, 12, 12, -1, 17, -1, -1, -1, 21, 21, 21, -1, 25, 25, 25, 25],
    madeWith: { search: 'threshold', theta: 0.563, topK: 102, tokens: 1024, texts: 8, selectionPer: 'allHeads' },
  },
  {
    format: 'saccade-hylra-policy',
    version: 1,
    name: 'google/gemma-3-270m',
    fingerprint: {
      architecture: 'gemma3',
      layers: 18,
      heads: 4,
      kvHeads: 1,
      headSize: 256,
      hiddenSize: 640,
      vocabularySize: 262_144,
      globalLayers: 3,
    },
    policy: [-1, -1, 1],
    madeWith: { search: 'threshold', theta: 0.5, topK: 38, tokens: 384, texts: 2, selectionPer: 'allHeads' },
  },
  {
    format: 'saccade-hylra-policy',
    version: 1,
    name: 'persuasion-bytes',
    fingerprint: {
      architecture: 'llama',
      layers: 8,
      heads: 4,
      kvHeads: 2,
      headSize: 32,
      hiddenSize: 128,
      vocabularySize: 256,
      globalLayers: 8,
    },
    policy: [-1, -1, -1, 2, 2, 2, 2, -1],
    madeWith: { search: 'threshold', theta: 0.523, topK: 51, tokens: 512, texts: 8, selectionPer: 'allHeads' },
  },
];
