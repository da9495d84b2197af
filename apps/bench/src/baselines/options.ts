import { defineOptions, integer, type OptionsOf } from '@saccade/core';

/** Options that all baselines share: the budget, and the layers that stay dense as TidalDecode's first ones do. */
export const baselineOptions = defineOptions({
  topK: integer({ default: 256, min: 1, description: 'Tokens that each head of a sparse layer reads.' }),
  denseLayers: integer({ default: 2, min: 0, description: 'Global layers at the beginning that stay dense.' }),
});

export type BaselineOptions = OptionsOf<typeof baselineOptions>;

/** The baseline's budget in tokens for a share of the context. */
export function tokensAtBudget(budget: number, contextLength: number): { readonly topK: number } {
  return { topK: Math.max(1, Math.round(budget * contextLength)) };
}
