import { gna, gnaOptions, type ResolvedGnaOptions } from '../src/index.ts';

/** GNA as the bench lists it. */
export const gnaEntry = {
  name: 'gna',
  title: 'Generalized neighborhood attention',
  description: 'Each token attends to those near it on the grid, in windows that groups of queries share.',
  paper: 'arXiv 2504.16922',
  role: 'method' as const,
  phases: ['prefill', 'denoise'] as const,
  options: gnaOptions,
  // Along a line; on a grid the share is that of each axis.
  atBudget: (budget: number, contextLength: number) => ({ window: [Math.max(2, Math.round(budget * contextLength))] }),
  create: (options: ResolvedGnaOptions) => gna(options),
};
