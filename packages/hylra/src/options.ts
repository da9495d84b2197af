import { choice, defineOptions, type GivenOptions, integer, list, type OptionsOf } from '@saccade/core';

/** Every option of HyLRA: default, range, meaning. */
export const hylraOptions = defineOptions({
  topK: integer({ default: 2048, min: 1, description: 'Tokens that a reusing layer reads, k.' }),
  policy: list(integer({ min: -1 }), {
    default: null,
    description:
      'For each global layer -1 (full) or the full layer whose tokens it reuses. Off: the policy shipped for the model.',
  }),
  phases: list(choice(['prefill', 'decode']), {
    default: ['prefill', 'decode'] as const,
    minLength: 1,
    description: 'Where layers reuse; the other phase stays dense.',
  }),
  selectionPer: choice(['allHeads', 'kvHead', 'queryHead'], {
    default: 'allHeads',
    description: 'One set of tokens for all heads of a layer (as published), or one per key/value head or query head.',
  }),
  ranking: choice(['score', 'probability'], {
    default: 'score',
    description: 'Tokens are ranked by their scores before the softmax or by their probabilities, averaged over heads.',
  }),
  sinkTokens: integer({ default: 0, min: 0, description: 'First tokens that every set holds, within k.' }),
  recentTokens: integer({
    default: 1,
    min: 1,
    description: 'Newest tokens that every set holds, within k; at least the query block in prefill.',
  }),
  queryBlock: integer({
    default: 64,
    min: 1,
    description: 'Consecutive queries of a prompt that share a set; at most k.',
  }),
});

/** What a caller may give; everything has a default. */
export type HylraOptions = GivenOptions<typeof hylraOptions>;

/** All options, defaults filled in. */
export type ResolvedHylraOptions = OptionsOf<typeof hylraOptions>;
