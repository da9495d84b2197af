import type { MethodEntry } from '../../method-entry.ts';

/** Activation checkpointing. */
export const recomputeEntry: MethodEntry = {
  name: 'recompute',
  title: 'Layers computed again',
  description: 'Only the input of each layer is kept; the backward pass computes the layer again.',
  role: 'baseline',
  phases: ['prefill'],
  options: {},
  create: () => undefined,
};

/** Mixed precision. */
export const halfPrecisionEntry: MethodEntry = {
  name: 'half-precision',
  title: 'Products of halves',
  description: 'Linear layers multiply f16 and add f32, with loss scaling; parameters and the rest stay f32.',
  role: 'baseline',
  phases: ['prefill'],
  options: {},
  create: () => undefined,
};
