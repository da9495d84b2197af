import { type ResolvedZipvlOptions, zipvl, zipvlOptions } from '../src/index.ts';

/** ZipVL as the bench lists it. */
export const zipvlEntry = {
  name: 'zipvl',
  title: 'ZipVL',
  description:
    'Each layer decides how many tokens of the prompt matter, attends among these, and caches the others at fewer bits.',
  paper: 'arXiv 2410.08584',
  role: 'method' as const,
  phases: ['prefill', 'decode'] as const,
  options: zipvlOptions,
  create: (options: ResolvedZipvlOptions) => zipvl(options),
};
