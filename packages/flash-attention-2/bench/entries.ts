import { flashAttention1Options } from '../src/index.ts';

/** FlashAttention-2 as the bench lists it: a function over tensors, which only the scenario of its own runs. */
export const flashAttention2Entry = {
  name: 'flash-attention-2',
  title: 'FlashAttention-2',
  description: 'Each workgroup owns rows of queries and walks over the keys; outputs are written once.',
  paper: 'arXiv 2307.08691',
  role: 'method' as const,
  phases: ['prefill'] as const,
  options: {},
  create: () => undefined,
};

/** FlashAttention-1's order of loops, out of the same kernels. */
export const flashAttention1Entry = {
  name: 'flash-attention-1',
  title: 'FlashAttention-1’s schedule',
  description: 'The outer loop goes over blocks of keys; outputs are rescaled in memory in each step.',
  paper: 'arXiv 2205.14135',
  role: 'baseline' as const,
  phases: ['prefill'] as const,
  options: { keyBlock: flashAttention1Options.keyBlock },
  create: () => undefined,
};
