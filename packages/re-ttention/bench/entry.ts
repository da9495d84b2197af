import { type ResolvedReTtentionOptions, reTtention, reTtentionOptions } from '../src/index.ts';

/** Re-ttention as the bench lists it. */
export const reTtentionEntry = {
  name: 're-ttention',
  title: 'Re-ttention',
  description:
    'Most steps attend in a narrow window; what the other keys contribute is reused from the last dense step.',
  paper: 'arXiv 2505.22918',
  role: 'method' as const,
  phases: ['denoise'] as const,
  options: reTtentionOptions,
  // Of the keys, in the steps that are sparse.
  atBudget: (budget: number) => ({ density: budget }),
  create: (options: ResolvedReTtentionOptions) => reTtention(options),
};
