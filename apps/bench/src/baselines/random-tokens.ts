import { randomUniform, topK } from '@saccade/core';
import type { MethodEntry } from '../method-entry.ts';
import { baselineOptions, tokensAtBudget } from './options.ts';
import { sparseLayers } from './sparse-layers.ts';

/** The floor: tokens drawn anew for every head, layer and step. */
export const randomTokens: MethodEntry<typeof baselineOptions> = {
  name: 'random-tokens',
  title: 'Random tokens',
  description: 'Each head of a sparse layer reads tokens drawn at random, anew in every layer and step.',
  role: 'baseline',
  phases: ['decode'],
  options: baselineOptions,
  atBudget: tokensAtBudget,
  create: (options) =>
    sparseLayers(
      'random-tokens',
      options,
      () => ({ drawn: 0 }),
      ({ gpu, model, keyLength, state }, _call, count) => {
        const draws = randomUniform(gpu, [1, model.heads, keyLength], { seed: 1, stream: state.drawn++ });
        return { indices: topK(draws, count).indices, per: 'queryHead' };
      },
    ),
};
