import { hylra, hylraOptions, type ResolvedHylraOptions } from '../src/index.ts';

/** HyLRA as the bench lists it. */
export const hylraEntry = {
  name: 'hylra',
  title: 'HyLRA',
  description:
    'A searched policy says which layers read all tokens; the others reuse the tokens that the last of these picked.',
  paper: 'arXiv 2602.00777',
  role: 'method' as const,
  phases: ['prefill', 'decode'] as const,
  options: hylraOptions,
  // Prompts stay dense, so that the same prompt serves all methods of a comparison.
  atBudget: (budget: number, contextLength: number) => ({
    topK: Math.max(1, Math.round(budget * contextLength)),
    phases: ['decode' as const],
  }),
  create: (options: ResolvedHylraOptions) => hylra(options),
};
