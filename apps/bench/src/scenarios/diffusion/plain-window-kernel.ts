import { defineOptions, integer } from '@saccade/core';
import type { GridKernel } from './kernels.ts';

const options = defineOptions({
  window: integer({ default: 256, min: 1, description: 'Keys that a query sees: those nearest in the sequence.' }),
});

/** A window over tokens in row-major order: rows of the image near the query's. */
export const plainWindowKernel: GridKernel = {
  entry: {
    name: 'plain-window',
    title: 'Window in the sequence',
    description: 'Each query sees the keys nearest to it in row-major order, whatever lies above and below.',
    role: 'baseline',
    phases: ['denoise'],
    options,
    create: () => undefined,
    atBudget: (budget, tokens) => ({ window: Math.max(1, Math.round(budget * tokens)) }),
  },
  prepare: (workload, given) => {
    const { window } = given as { readonly window: number };
    const mask = {
      kind: 'slidingWindow',
      before: Math.floor(window / 2),
      after: window - 1 - Math.floor(window / 2),
    } as const;
    return {
      run: (keyRowCounter) => {
        workload.gpu.tidy(() => {
          workload.attention({ mask, ...(keyRowCounter ? { keyRowCounter } : {}) });
        });
      },
      dispose: () => {},
    };
  },
};
