import { boolean, choice, defineOptions, type GivenOptions, integer, layer, list, type OptionsOf } from '@saccade/core';

/** Every option of TidalDecode: default, range, meaning. */
export const tidalDecodeOptions = defineOptions({
  topK: integer({ default: 256, min: 1, description: 'Tokens that each head of a sparse layer reads, k.' }),
  sparseLayerStart: integer({
    default: 2,
    min: 0,
    description:
      'First selection layer, s; the layers before it stay dense. The number of layers switches sparsity off.',
  }),
  reselectionLayers: list(layer(), {
    default: [{ fraction: 0.4 }],
    description: 'Layers that select anew, c, in ascending order; a fraction that falls on s or before it is dropped.',
  }),
  forceCurrent: boolean({ default: true, description: 'Always attends the newest token, within the budget.' }),
  selectionPer: choice(['queryHead', 'kvHead'], {
    default: 'queryHead',
    description: 'One list per query head (as published), or one per key/value head from its mean score (reads less).',
  }),
  correctionInterval: integer({
    default: null,
    min: 1,
    description: 'Decode steps after which the keys and values of sparsely decoded tokens are recomputed densely.',
  }),
});

/** What a caller may give; everything has a default. */
export type TidalDecodeOptions = GivenOptions<typeof tidalDecodeOptions>;

/** All options, defaults filled in. */
export type ResolvedTidalDecodeOptions = OptionsOf<typeof tidalDecodeOptions>;
