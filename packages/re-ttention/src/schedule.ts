import type { ResolvedReTtentionOptions } from './options.ts';

/** What a step does: dense attention, dense attention that is gathered for the next steps, or attention in the window. */
export type StepKind = 'dense' | 'cache' | 'sparse';

/** What the step with this 0-based index does. */
export function stepKind(
  index: number,
  { warmupSteps, cachePeriod }: Pick<ResolvedReTtentionOptions, 'warmupSteps' | 'cachePeriod'>,
): StepKind {
  if (index < warmupSteps) return 'dense';
  return index === warmupSteps || index % cachePeriod === 0 ? 'cache' : 'sparse';
}

/**
 * Mean cost of self-attention over a run as a share of dense attention, when the window's extra pass of caching steps counts too.
 *
 * @param keyShare Share of the keys that a token's window holds.
 */
export function attentionShare(
  steps: number,
  keyShare: number,
  options: Pick<ResolvedReTtentionOptions, 'warmupSteps' | 'cachePeriod'>,
): number {
  const costs = { dense: 1, cache: 1 + keyShare, sparse: keyShare };
  const kinds = Array.from({ length: steps }, (_, index) => stepKind(index, options));
  return kinds.reduce((sum, kind) => sum + costs[kind], 0) / steps;
}
