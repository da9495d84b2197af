import {
  boolean,
  choice,
  defineOptions,
  type GivenOptions,
  integer,
  layers,
  type ModelFacts,
  number,
  OptionError,
  type OptionsOf,
  resolveLayers,
} from '@saccade/core';

/** Every option of CARVE: default, range, meaning. */
export const carveOptions = defineOptions({
  layers: layers({
    default: null,
    description:
      'Layers whose attention is fused. By default 20 to 25, in models of fewer than 28 layers the same share of 28.',
  }),
  lambda: number({
    default: 1e-8,
    above: 0,
    max: 1,
    description: 'Added to the general attention before the question’s is divided by it.',
  }),
  topShare: number({
    default: 0.2,
    above: 0,
    max: 1,
    description: 'Share of the pixels that the threshold keeps, p.',
  }),
  keepRegions: integer({ default: 3, min: 1, description: 'Connected regions of these pixels that stay, K.' }),
  moreRegions: boolean({
    default: true,
    description:
      'Where there are many regions, keep at least the share p of them, as released. Off: K, as in the paper.',
  }),
  rank: choice(['attention-sum', 'size', 'remove-small'], {
    default: 'attention-sum',
    description:
      'Regions stay by their sum of the map, by their size, or all but those under a thousandth of the pixels.',
  }),
  steps: choice(['all', 'first', 'last'], {
    default: 'all',
    description: 'Tokens of the answer whose attention is fused; later ones weigh more.',
  }),
  answerImages: choice(['both', 'refined'], {
    default: 'both',
    description:
      'Images of the last pass: the original and the refined one, as released, or the refined one, as in the paper.',
  }),
  maxNewTokens: integer({ default: 32, min: 1, description: 'Most tokens of each of the three passes.' }),
});

/** What a caller may give; everything has a default. */
export type CarveOptions = GivenOptions<typeof carveOptions>;

/** All options, defaults filled in. */
export type ResolvedCarveOptions = OptionsOf<typeof carveOptions>;

/** Layers 20 to 25, as published for models of 28 to 40 layers; in shallower ones these shares of 28. */
export function defaultLayers(layers: number): number[] {
  if (layers >= 28) return [20, 21, 22, 23, 24, 25];
  return resolveLayers({ from: 20 / 28, to: 26 / 28 }, layers);
}

/**
 * The layers that are fused in a model: those of the choice whose attention reaches over the whole context.
 * @throws OptionError for a layer that the model does not have, or where none is left
 */
export function fusedLayers(
  { layers }: Pick<ResolvedCarveOptions, 'layers'>,
  facts: Pick<ModelFacts, 'layers' | 'layerKinds'>,
): number[] {
  const chosen = layers ? resolveLayers(layers, facts.layers) : defaultLayers(facts.layers);
  const global = chosen.filter((layer) => facts.layerKinds[layer] === 'global');
  if (global.length === 0)
    throw new OptionError('layers', layers ?? chosen, 'at least one layer with attention over the whole context');
  return global;
}
