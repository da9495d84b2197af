import { defineOptions, type GivenOptions, integer, layers, list, type OptionsOf } from '@saccade/core';

/** Every option of the method: default, range, meaning. Lists have an entry per axis of the token grid, slowest first, or one for all. */
export const gnaOptions = defineOptions({
  window: list(integer({ min: 2 }), {
    default: [8] as const,
    minLength: 1,
    description: 'Keys that a query sees along each axis; where an axis is shorter, all of it.',
  }),
  stride: list(integer({ min: 1 }), {
    default: [1] as const,
    minLength: 1,
    description: 'Queries that share a window, from 1 (sliding) to the window (blocks).',
  }),
  dilation: list(integer({ min: 1 }), {
    default: [1] as const,
    minLength: 1,
    description: 'Distance of neighbours along each axis.',
  }),
  causal: list(integer({ min: 0, max: 1 }), {
    default: [0] as const,
    minLength: 1,
    description: '1 along axes on which no query sees behind itself; always so in causal models.',
  }),
  denseSteps: integer({ default: 0, min: 0, description: 'First denoising steps that stay dense.' }),
  layers: layers({
    default: { from: 0, to: 1 },
    description: 'Layers that it acts in, of those that attend globally.',
  }),
});

/** What a caller may give; everything has a default. */
export type GnaOptions = GivenOptions<typeof gnaOptions>;

/** All options, defaults filled in. */
export type ResolvedGnaOptions = OptionsOf<typeof gnaOptions>;

const tile = (tokens: number, description: string) =>
  list(integer({ min: 1 }), { default: [tokens] as const, minLength: 1, description });

/** Options of the kernel alone, over a grid that its caller knows: for measurements. */
export const gnaKernelOptions = defineOptions({
  window: list(integer({ min: 2 }), { default: [16] as const, minLength: 1, description: 'Keys along each axis.' }),
  stride: list(integer({ min: 1 }), {
    default: [8] as const,
    minLength: 1,
    description: 'Queries that share a window, along each axis.',
  }),
  queryTile: tile(8, 'Queries of a tile along each axis.'),
  keyTile: tile(4, 'Keys of a tile along each axis.'),
});
