import { defineOptions, type GivenOptions, integer, number, type OptionsOf } from '@saccade/core';

/** Every option of Based's layers: default, range, meaning. */
export const basedOptions = defineOptions({
  heads: integer({ default: 1, min: 1, description: 'Heads of the linear, window and attention layers.' }),
  featureDim: integer({
    default: 16,
    min: 1,
    max: 128,
    description:
      'Size f of queries and keys of a linear head; its state has (f + 1)(f + 2) / 2 rows. The dial between recall and memory.',
  }),
  windowSize: integer({
    default: 256,
    min: 2,
    description: 'A query of a window layer sees its own token and windowSize / 2 before it.',
  }),
  kernelSize: integer({ default: 3, min: 2, description: 'Tokens that a BaseConv layer’s convolution sees.' }),
  expansion: integer({
    default: 4,
    min: 2,
    description: 'BaseConv’s input projection makes this many times the model size, half of it gates; even.',
  }),
  mlpRatio: number({
    default: 2,
    min: 0,
    description: 'Inner size of the SwiGLU MLP behind each mixer, in model sizes; 0: no MLP.',
  }),
  epsilon: number({
    default: 1e-12,
    min: 0,
    description: 'Added to the sum of weights that linear attention divides by.',
  }),
  chunk: integer({
    default: null,
    min: 1,
    description: 'Rows that attend to each other directly in the chunked form; off: 128, or more for very long texts.',
  }),
});

/** What a caller may give; everything has a default. */
export type BasedOptions = GivenOptions<typeof basedOptions>;

/** All options, defaults filled in. */
export type ResolvedBasedOptions = OptionsOf<typeof basedOptions>;
