import { type ResolvedVhrOptions, vhrOptions, visionAwareHeadReinforcement } from '../src/index.ts';

/** VHR as the bench lists it. */
export const vhrEntry = {
  name: 'vhr',
  title: 'VHR',
  description: 'Outputs of the heads that the image moves most are doubled, for the whole answer.',
  paper: 'arXiv 2412.13949',
  role: 'method' as const,
  phases: ['prefill', 'decode'] as const,
  needs: 'vision' as const,
  options: vhrOptions,
  create: (options: ResolvedVhrOptions) => visionAwareHeadReinforcement(options),
};
