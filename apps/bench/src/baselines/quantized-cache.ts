import { choice, defineOptions, integer, type Method } from '@saccade/core';
import type { MethodEntry } from '../method-entry.ts';

const widths = [8, 4, 2] as const;

const options = defineOptions({
  bits: choice(['8', '4', '2'], { default: '4', description: 'Bits of each stored number.' }),
  recent: integer({ default: 0, min: 0, description: 'Newest tokens that stay in full precision.' }),
});

/** KIVI's cache (arXiv 2402.02750): keys quantized per channel, values per token. Every token is attended to. */
export const quantizedCache: MethodEntry<typeof options> = {
  name: 'quantized-cache',
  title: 'Quantized cache',
  description:
    'Global layers store keys per channel and values per token in few bits; the budget is the share of 32 bits.',
  role: 'baseline',
  phases: ['prefill', 'decode'],
  options,
  atBudget: (budget) => {
    const nearest = [...widths].sort((a, b) => Math.abs(a - 32 * budget) - Math.abs(b - 32 * budget))[0] ?? 4;
    return { bits: `${nearest}` as '8' | '4' | '2' };
  },
  create: ({ bits, recent }): Method => ({
    name: 'quantized-cache',
    options: { bits, recent },
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1 },
    createCache: ({ spec }) =>
      spec.kind === 'contiguous' ? { ...spec, kind: 'paged', precision: Number(bits) as 8 | 4 | 2, recent } : undefined,
  }),
};
