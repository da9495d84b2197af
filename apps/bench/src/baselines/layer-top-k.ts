import { topKeys } from '@saccade/core';
import type { MethodEntry } from '../method-entry.ts';
import { baselineOptions, tokensAtBudget } from './options.ts';
import { sparseLayers } from './sparse-layers.ts';

/** The oracle of token selection: every layer scores the whole cache and reads its own best tokens. */
export const layerTopK: MethodEntry<typeof baselineOptions> = {
  name: 'layer-top-k',
  title: 'Each layer’s own top-k',
  description:
    'Every sparse layer scores all tokens and reads its own top-k: the bound of token selection, not a saving.',
  role: 'oracle',
  phases: ['decode'],
  options: baselineOptions,
  atBudget: tokensAtBudget,
  create: (options) =>
    sparseLayers(
      'layer-top-k',
      options,
      () => ({}),
      ({ keyLength }, call, k) => topKeys(call.q, call.keys, { k, keyLength, per: 'queryHead' }),
    ),
};
