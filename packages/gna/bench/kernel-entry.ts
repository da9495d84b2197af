import { gnaKernelOptions } from '../src/index.ts';

/** GNA's kernel alone, on a square grid of tokens: for scenarios that run no model. */
export const gnaKernelEntry = {
  name: 'gna-kernel',
  title: 'Generalized neighborhood attention, tile by tile',
  description: 'Tiles of queries visit the tiles of keys that they see; tables say which tokens stand in a tile.',
  paper: 'arXiv 2504.16922',
  role: 'method' as const,
  phases: ['prefill', 'denoise'] as const,
  options: gnaKernelOptions,
  create: () => undefined,
  // Windows of whole tiles at both ends: multiples of 8, with strides of 8 and tiles of 4.
  atBudget: (budget: number, tokens: number) => {
    const side = Math.round(Math.sqrt(tokens));
    const whole = (size: number) => Math.min(side, Math.max(8, 8 * Math.round(size / 8)));
    const columns = whole(side * Math.sqrt(budget));
    const rows = whole((budget * side * side) / columns);
    return { window: [rows, columns] };
  },
};
