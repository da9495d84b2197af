import { gatedAttentionOptions } from '../src/index.ts';

/** Gated attention as the bench lists it: an architecture to train, which only the scenario of its own runs. */
export const gatedAttentionEntry = {
  name: 'gated-attention',
  title: 'Gated attention',
  description:
    'A gate on the output of attention, made of the layer’s input; models are trained with it from the beginning.',
  paper: 'arXiv 2505.06708',
  role: 'method' as const,
  phases: ['prefill'] as const,
  options: gatedAttentionOptions,
  create: () => undefined,
};
