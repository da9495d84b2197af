import { type ResolvedSpattenOptions, spatten, spattenOptions } from '../src/index.ts';

/** SpAtten as the bench lists it. */
export const spattenEntry = {
  name: 'spatten',
  title: 'SpAtten',
  description:
    'Tokens (and heads, and values) that gathered little attention so far are pruned, for all later layers of the pass.',
  paper: 'arXiv 2012.09852',
  role: 'method' as const,
  phases: ['prefill', 'decode', 'encode'] as const,
  options: spattenOptions,
  // The schedule's mean over the layers that prune.
  atBudget: (budget: number) => ({ averageTokenKeep: budget }),
  create: (options: ResolvedSpattenOptions) => spatten(options),
};
