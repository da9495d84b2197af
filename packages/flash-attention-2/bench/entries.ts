import { flashAttention1Options, standardAttentionOptions } from '../src/index.ts';

// Functions over tensors, not methods of a model: only the scenario of their own runs them.
const schedule = {
  paper: 'arXiv 2307.08691',
  role: 'method' as const,
  phases: ['prefill'] as const,
  create: () => undefined,
};

/** FlashAttention-2 as the bench lists it. */
export const flashAttention2Entry = {
  ...schedule,
  name: 'flash-attention-2',
  title: 'FlashAttention-2',
  description: 'Each workgroup owns rows of queries and walks over the keys; outputs are written once.',
  options: standardAttentionOptions,
};

/** FlashAttention-1's order of loops, out of the same kernels. */
export const flashAttention1Entry = {
  ...schedule,
  name: 'flash-attention-1',
  title: 'FlashAttention-1’s schedule',
  description: 'The outer loop goes over blocks of keys; outputs are rescaled in memory in each step.',
  paper: 'arXiv 2205.14135',
  role: 'baseline' as const,
  options: flashAttention1Options,
};
