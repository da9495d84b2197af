import { type ResolvedSparseDOptions, sparseD, sparseDOptions } from '../src/index.ts';
import { blocksAtBudget } from './budget.ts';

/** SparseD as the bench lists it. */
export const sparsedEntry = {
  name: 'sparsed',
  title: 'SparseD',
  description: 'After dense first steps, each head looks at the blocks of keys that mattered in one of them.',
  paper: 'arXiv 2509.24014',
  role: 'method' as const,
  phases: ['denoise'] as const,
  options: sparseDOptions,
  // Of each row's blocks, in the steps that are sparse.
  atBudget: (budget: number, tokens: number) => blocksAtBudget(budget, tokens),
  create: (options: ResolvedSparseDOptions) => sparseD(options),
};
