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
  // As much of each axis of a grid; without one, of the line of tokens.
  atBudget: (budget: number, contextLength: number, grid: readonly number[] = [contextLength]) => ({
    window: grid.map((size) => Math.max(2, Math.round(size * budget ** (1 / grid.length)))),
  }),
  create: (options: ResolvedGnaOptions) => gna(options),
};
