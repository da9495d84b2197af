import { defineOptions, type GivenOptions, layers, number, type OptionsOf } from '@saccade/core';

/** Every option of GIFT: default, range, meaning. */
export const giftOptions = defineOptions({
  saliencyLayers: layers({
    default: null,
    description:
      'Layers whose attention is watched while the question is read, counted among the global ones. By default the one at 11 of 32.',
  }),
  enhanceLayers: layers({
    default: null,
    description:
      'Layers whose attention is changed. By default those from 12 to 22 of 32, all behind the default layer that is watched.',
  }),
  alpha: number({
    default: 5,
    min: 0,
    max: 20,
    description: 'The most salient image token is weighed e^alpha times as much. 0 changes nothing.',
  }),
  beta: number({ default: 1, min: 0, max: 100, description: 'Factor on the share by which the question gains.' }),
  headFraction: number({
    default: 0.5,
    min: 0.01,
    max: 1,
    description: 'Share of the heads that are watched and, by their mass, changed; rounded down, at least one head.',
  }),
  clipSigma: number({
    default: 3,
    min: 0.1,
    max: 1000,
    description: 'Saliency is cut at this many standard deviations from its mean.',
  }),
});

/** What a caller may give; everything has a default. */
export type GiftOptions = GivenOptions<typeof giftOptions>;

/** All options, defaults filled in. */
export type ResolvedGiftOptions = OptionsOf<typeof giftOptions>;

/** How many of the heads are chosen. */
export function chosenHeads(heads: number, headFraction: number): number {
  return Math.max(1, Math.floor(heads * headFraction));
}
