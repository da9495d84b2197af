import { defineOptions, type GivenOptions, integer, type OptionsOf } from '@saccade/core';

/** Every option of New method: default, range, meaning. */
export const newMethodOptions = defineOptions({
  sinks: integer({ default: 4, min: 0, description: 'First tokens of the text that are always read.' }),
  window: integer({ default: 256, min: 1, description: 'Most recent tokens that are read.' }),
});

/** What a caller may give; everything has a default. */
export type NewMethodOptions = GivenOptions<typeof newMethodOptions>;

/** All options, defaults filled in. */
export type ResolvedNewMethodOptions = OptionsOf<typeof newMethodOptions>;
