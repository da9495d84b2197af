import type { OptionsOf } from '@saccade/core';
import { sparseDOptions } from '../src/index.ts';
import { blocksAtBudget } from './budget.ts';

/** Options of a sparse step by itself. */
const { select, blockSize } = sparseDOptions;
export const sparsedStepOptions = { select, blockSize };

export type SparsedStepOptions = OptionsOf<typeof sparsedStepOptions>;

/** A sparse step of SparseD as scenarios of bare attention list it. */
export const sparsedStepEntry = {
  name: 'sparsed-step',
  title: 'SparseD, a sparse step',
  description: 'Attention over blocks that were chosen once, for each head and row of blocks.',
  paper: 'arXiv 2509.24014',
  role: 'method' as const,
  phases: ['denoise'] as const,
  options: sparsedStepOptions,
  atBudget: (budget: number, tokens: number) => blocksAtBudget(budget, tokens),
  create: () => undefined,
};
