import { boolean, choice, defineOptions, type GivenOptions, integer, number, type OptionsOf } from '@saccade/core';

/** Every option of Re-ttention: default, range, meaning. */
export const reTtentionOptions = defineOptions({
  density: number({
    default: 1 / 32,
    above: 0,
    max: 1,
    description: 'Width of the window as a share of the image’s tokens, or of a frame’s; 1 keeps every step dense.',
  }),
  warmupSteps: integer({ default: 5, min: 0, description: 'First steps that are dense.' }),
  cachePeriod: integer({
    default: 5,
    min: 1,
    description:
      'Steps whose index it divides are dense and gather what the sparse ones reuse; so does the first one behind the warm-up.',
  }),
  ramp: number({
    default: 0.04,
    min: 0,
    description: 'What is added to the cached ratio at each further sparse step.',
  }),
  clampRatio: boolean({
    default: false,
    description: 'Keeps ratios at 1 or less, as the paper defines them; the authors’ code lets the ramp exceed it.',
  }),
  mask: choice(['auto', 'window', 'framewise'], {
    default: 'auto',
    description:
      'A window over all tokens (images), or the same window in every frame beside all text tokens (videos). auto: as the model’s tokens lie.',
  }),
});

/** What a caller may give; everything has a default. */
export type ReTtentionOptions = GivenOptions<typeof reTtentionOptions>;

/** All options, defaults filled in. */
export type ResolvedReTtentionOptions = OptionsOf<typeof reTtentionOptions>;
