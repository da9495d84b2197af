import { type ResolvedTidalDecodeOptions, tidalDecode, tidalDecodeOptions } from '../src/index.ts';

/** TidalDecode as the bench lists it. */
export const tidalDecodeEntry = {
  name: 'tidaldecode',
  title: 'TidalDecode',
  description: 'Two layers of each decode step score all tokens; the layers behind them read the tokens these picked.',
  paper: 'arXiv 2410.05076',
  role: 'method' as const,
  phases: ['decode'] as const,
  options: tidalDecodeOptions,
  atBudget: (budget: number, contextLength: number) => ({ topK: Math.max(1, Math.round(budget * contextLength)) }),
  create: (options: ResolvedTidalDecodeOptions) => tidalDecode(options),
};
