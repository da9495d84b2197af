import { newMethod, newMethodOptions, type ResolvedNewMethodOptions } from '../src/index.ts';

/** New method as the bench lists it. */
export const newMethodEntry = {
  name: 'new-method',
  title: 'New method',
  description: 'Decode steps read the first tokens and the most recent ones.',
  role: 'method' as const,
  phases: ['decode'] as const,
  options: newMethodOptions,
  atBudget: (budget: number, contextLength: number) => {
    const tokens = Math.max(1, Math.round(budget * contextLength));
    const sinks = Math.min(4, tokens - 1);
    return { sinks, window: tokens - sinks };
  },
  create: (options: ResolvedNewMethodOptions) => newMethod(options),
};
