import { ArgumentError } from '@saccade/core';
import type { LayerProfile } from './profile-layers.ts';

/** Cuts over which a layer counts as sensitive. */
export interface SensitivityCuts {
  readonly rnmse?: number;
  readonly divergence?: number;
}

/**
 * Layers that must run full attention: those whose error, or divergence, is over its cut (paper, intra-layer sensitivity).
 *
 * @throws ArgumentError for a cut on divergences that were not measured.
 */
export function sensitiveLayers(profile: Pick<LayerProfile, 'rnmse' | 'divergence'>, cuts: SensitivityCuts): number[] {
  const { rnmse = Number.POSITIVE_INFINITY, divergence = Number.POSITIVE_INFINITY } = cuts;
  if (cuts.divergence !== undefined && !profile.divergence) {
    throw new ArgumentError('divergence', cuts.divergence, 'no cut: the profile was made without divergences');
  }
  return Array.from(profile.rnmse.keys()).filter(
    (layer) => (profile.rnmse[layer] as number) > rnmse || (profile.divergence?.[layer] ?? 0) > divergence,
  );
}

/** What the public code's budget rule makes of a sparsity: see {@link budgetRule}. */
export interface BudgetRule {
  /** The ceil(L (1 - sparsity)) layers whose mass spreads widest, ascending. */
  readonly rollback: number[];
  /** ceil(L sparsity computedRatio) plus the rollback layers. */
  readonly maxRefresh: number;
}

/**
 * Layers to keep full and refreshes to allow, as the public code derives them.
 *
 * @param sparsity Share of layers that need not be full, in [0, 1].
 * @param computedRatio Share of those that may refresh, in [0, 1].
 */
export function budgetRule(
  profile: Pick<LayerProfile, 'massRatio90' | 'layers'>,
  { sparsity = 0.9, computedRatio = 0.3 }: { readonly sparsity?: number; readonly computedRatio?: number } = {},
): BudgetRule {
  for (const [name, value] of Object.entries({ sparsity, computedRatio }))
    if (!(value >= 0 && value <= 1)) throw new ArgumentError(name, value, 'a share from 0 to 1');
  const { layers, massRatio90 } = profile;
  const count = ceil(layers * (1 - sparsity));
  const rollback = Array.from(massRatio90.keys())
    .sort((a, b) => (massRatio90[b] as number) - (massRatio90[a] as number) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
  return { rollback, maxRefresh: ceil(layers * sparsity * computedRatio) + count };
}

/** Rounds up what is not a whole number but for rounding errors of the product. */
function ceil(value: number): number {
  return Math.ceil(value - 1e-9);
}
