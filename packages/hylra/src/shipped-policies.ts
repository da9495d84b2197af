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
];
