import { choice, defineOptions, integer } from '@saccade/core';
import type { MethodEntry } from '../../method-entry.ts';

const options = defineOptions({
  lists: choice(['queryHead', 'kvHead'], {
    default: null,
    description: 'Lists per query head or per key/value head; both when off.',
  }),
  topK: integer({ default: 256, min: 1, description: 'Tokens in each list.' }),
});

/** The engine on random token lists: what any method that selects tokens can gain. */
export const tokenListEntry: MethodEntry<typeof options> = {
  name: 'token-list',
  title: 'Token lists',
  description: 'The engine reads only the tokens of a list per head; the lists are random and given.',
  role: 'baseline',
  phases: ['decode'],
  options,
  create: () => undefined,
};
