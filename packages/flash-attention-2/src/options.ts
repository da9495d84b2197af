import {
  boolean,
  choice,
  defineOptions,
  type GivenOptions,
  integer,
  list,
  number,
  type OptionsOf,
} from '@saccade/core';

/** Every option of FlashAttention-2: default, range, meaning. */
export const flashAttentionOptions = defineOptions({
  scale: number({ default: null, description: 'Factor on q k^T; off stands for 1 / sqrt(D).' }),
  causal: boolean({
    default: false,
    description: 'Query i sees keys up to i + M - N: the last query stands at the last key. No key to the right then.',
  }),
  window: list(integer({ min: -1 }), {
    default: [-1, -1],
    minLength: 2,
    description: 'Keys that are seen to the left and to the right of the query, beside its own; -1: no bound.',
  }),
  softcap: number({ default: 0, min: 0, description: 'c in c tanh(score / c), which bounds the scores; 0: none.' }),
  numSplits: integer({
    default: null,
    min: 1,
    description:
      'Parts that the keys are split into (flash decoding); off: by the shape and the adapter. Forward only.',
  }),
  layout: choice(['rows', 'features'], {
    default: null,
    description:
      'Tile shape: workgroups of many query rows (prefill), or few rows that share each key (decode); off: by the shape and the adapter. Forward only.',
  }),
});

/** What a caller may give; everything has a default. */
export type FlashAttentionOptions = GivenOptions<typeof flashAttentionOptions>;

/** All options, defaults filled in. */
export type ResolvedFlashAttentionOptions = OptionsOf<typeof flashAttentionOptions>;
