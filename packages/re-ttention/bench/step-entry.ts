import type { OptionsOf } from '@saccade/core';
import { reTtentionOptions } from '../src/index.ts';

/** Options of a sparse step by itself. */
const { density } = reTtentionOptions;
export const reTtentionStepOptions = { density };

export type ReTtentionStepOptions = OptionsOf<typeof reTtentionStepOptions>;

/** A sparse step of Re-ttention as scenarios of bare attention list it. */
export const reTtentionStepEntry = {
  name: 're-ttention-step',
  title: 'Re-ttention, a sparse step',
  description: 'Attention in a window of row-major tokens, scaled by the cached ratios, plus the cached residual.',
  paper: 'arXiv 2505.22918',
  role: 'method' as const,
  phases: ['denoise'] as const,
  options: reTtentionStepOptions,
  atBudget: (budget: number) => ({ density: budget }),
  create: () => undefined,
};
