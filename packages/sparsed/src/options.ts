import { boolean, choice, defineOptions, type GivenOptions, integer, number, type OptionsOf } from '@saccade/core';

/** Every option of SparseD: default, range, meaning. */
export const sparseDOptions = defineOptions({
  skip: number({
    default: 0.2,
    min: 0,
    max: 1,
    description: 'Share of the denoising steps, the first ones, that stay dense; 1 never becomes sparse.',
  }),
  select: number({
    default: 0.3,
    above: 0,
    max: 1,
    description:
      'Share of the key blocks that a row of query blocks keeps, in the prompt and in what is generated; a lower bound.',
  }),
  blockSize: integer({ default: 128, min: 1, description: 'Queries and keys of a block.' }),
  promptLength: integer({
    default: null,
    min: 0,
    description: 'Leading tokens that are the prompt. Off: as many as the model says, or none.',
  }),
  isolated: boolean({
    default: true,
    description: 'Chooses blocks of the prompt and of what is generated apart; false ranks all of them together.',
  }),
  selection: choice(['reference', 'paper'], {
    default: 'reference',
    description: 'How shares are taken: as the authors’ code takes them, or as the paper writes.',
  }),
  schedule: choice(['reference', 'paper'], {
    default: 'reference',
    description:
      'The step whose attention chooses the blocks: floor(skip T) + 1 as in the authors’ code, or floor(skip T) as in the paper.',
  }),
  importanceScale: number({
    default: null,
    description: 'Factor on q k^T where blocks are ranked. Off: that of the attention itself.',
  }),
});

/** What a caller may give; everything has a default. */
export type SparseDOptions = GivenOptions<typeof sparseDOptions>;

/** All options, defaults filled in. */
export type ResolvedSparseDOptions = OptionsOf<typeof sparseDOptions>;
