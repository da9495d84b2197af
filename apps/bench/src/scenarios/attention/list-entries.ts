import { defineOptions, integer } from '@saccade/core';
import type { MethodEntry } from '../../method-entry.ts';

const options = defineOptions({
  topK: integer({ default: 256, min: 1, description: 'Tokens in each list.' }),
});

const engineOnly = { role: 'baseline', phases: ['decode'], create: () => undefined } as const;

/** Lists per key/value head that hold a share of the cache. */
export const listShareEntry: MethodEntry<typeof options> = {
  ...engineOnly,
  name: 'token-list-share',
  title: 'Token lists of a share',
  description:
    'The engine reads only the tokens of a list per key/value head, which holds a share of the cache; the lists are random.',
  options,
  atBudget: (budget, contextLength) => ({ topK: Math.max(1, Math.round(budget * contextLength)) }),
};

/** Lists without a token. */
export const emptyListEntry: MethodEntry = {
  ...engineOnly,
  name: 'empty-list',
  title: 'Empty token lists',
  description: 'Lists that turn out to hold no token: what calls cost that read no key.',
  options: {},
};

/** The choice of tokens, without attention. */
export const topKEntry: MethodEntry<typeof options> = {
  ...engineOnly,
  name: 'top-k',
  title: 'Top-k selection',
  description:
    'The k largest of given scores per query head, in ascending order of their positions: what a method adds that has its scores.',
  options,
};
