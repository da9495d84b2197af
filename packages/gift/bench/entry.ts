import { gift, giftOptions, type ResolvedGiftOptions } from '../src/index.ts';

/** GIFT as the bench lists it. */
export const giftEntry = {
  name: 'gift',
  title: 'GIFT',
  description: 'What gains attention while the question is read is looked at more while the answer is written.',
  paper: 'arXiv 2510.22067',
  role: 'method' as const,
  phases: ['prefill', 'decode'] as const,
  needs: 'vision' as const,
  options: giftOptions,
  create: (options: ResolvedGiftOptions) => gift(options),
};
