import type { Method } from '@saccade/core';
import type { MethodEntry } from '../method-entry.ts';
import { KeyScores } from './key-scores.ts';
import { baselineOptions, tokensAtBudget } from './options.ts';

/**
 * The selection rule of H2O (arXiv 2306.14048, section 4): half of the budget goes to the newest tokens, half to those with
 * the largest probability mass, summed over all queries so far, prompt and answer. Tokens that are not read gain no mass
 * any more; they stay in the cache and may come back.
 */
export const accumulatedMass: MethodEntry<typeof baselineOptions> = {
  name: 'accumulated-mass',
  title: 'Accumulated attention mass',
  description:
    'Sparse layers read the most recent tokens and those that gathered most attention so far, as H2O keeps (half of the budget each).',
  role: 'baseline',
  phases: ['prefill', 'decode'],
  options: baselineOptions,
  atBudget: tokensAtBudget,
  create: (options): Method<KeyScores> => ({
    name: 'accumulated-mass',
    options: { ...options },
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1 },
    createState: ({ gpu, facts }) => new KeyScores(gpu, facts.kvHeads),
    needs: ({ globalLayer }) => (globalLayer < options.denseLayers ? undefined : { keyMass: { per: 'kvHead' } }),
    attend({ globalLayer, layer, phase, keyLength, state }, _call, next) {
      if (globalLayer < options.denseLayers) return next();
      const count = Math.min(options.topK, keyLength);
      const tokens = phase === 'decode' ? state.list(layer, keyLength, count, Math.ceil(count / 2)) : undefined;
      const result = next(tokens && { tokens });
      if (result.statistics?.keyMass) state.add(layer, result.statistics.keyMass);
      return result;
    },
  }),
};
