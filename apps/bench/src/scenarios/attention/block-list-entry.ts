import { defineOptions, number } from '@saccade/core';
import type { MethodEntry } from '../../method-entry.ts';

const options = defineOptions({
  density: number({
    default: 0.25,
    min: 0,
    max: 1,
    description: 'Share of the blocks of keys in the list of each block of queries.',
  }),
});

/** The engine on random block lists: what any block-sparse prefill can gain. */
export const blockListEntry: MethodEntry<typeof options> = {
  name: 'block-list',
  title: 'Block lists',
  description: 'Each block of 64 queries reads only the blocks of 64 keys of its list; the lists are random and given.',
  role: 'baseline',
  phases: ['prefill'],
  options,
  create: () => undefined,
  atBudget: (density) => ({ density }),
};
