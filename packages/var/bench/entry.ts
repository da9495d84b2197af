import { type ResolvedVarOptions, varOptions, visualAttentionRedistribution } from '../src/index.ts';

/** VAR as the bench lists it. */
export const varEntry = {
  name: 'var',
  title: 'VAR',
  description: 'Sinks give a part of their attention to the other image tokens, in heads that look at the image.',
  paper: 'arXiv 2503.03321',
  role: 'method' as const,
  phases: ['prefill', 'decode'] as const,
  needs: 'vision' as const,
  options: varOptions,
  create: (options: ResolvedVarOptions) => visualAttentionRedistribution(options),
};
