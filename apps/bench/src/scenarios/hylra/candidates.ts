import {
  fullLayers,
  jumpPolicy,
  type LayerPolicy,
  type LayerProfile,
  solveBudgetPolicy,
  solveThresholdPolicy,
} from '@saccade/hylra';

/** A policy and how it was found. */
export interface Candidate {
  readonly search: 'threshold' | 'budget' | 'jump';
  readonly policy: LayerPolicy;
  readonly theta?: number;
}

/** Policies of three kinds with as many full layers as every `interval`-th: the threshold policy first. */
export function candidates(profile: LayerProfile, intervals: readonly number[]): Candidate[] {
  const { layers, overlap } = profile;
  return intervals.flatMap((interval): Candidate[] => {
    const jump = jumpPolicy(layers, interval);
    const count = fullLayers(jump).length;
    return [
      strictest(profile, count),
      { search: 'budget', policy: solveBudgetPolicy([overlap], { layers, maxRefresh: count - 1 }).policy },
      { search: 'jump', policy: jump },
    ];
  });
}

/** The policy of the largest threshold that needs at most `count` full layers. */
function strictest(profile: LayerProfile, count: number): Candidate {
  const thresholds = [...new Set(profile.overlap)].filter((value) => value > 0).sort((a, b) => b - a);
  let low = 0;
  let high = thresholds.length - 1;
  // Full layers never grow as the threshold falls.
  while (low < high) {
    const middle = (low + high) >> 1;
    const { fullLayers: needed } = solveThresholdPolicy(profile, { theta: thresholds[middle] as number });
    if (needed <= count) high = middle;
    else low = middle + 1;
  }
  const theta = thresholds[low] as number;
  return {
    search: 'threshold',
    policy: solveThresholdPolicy(profile, { theta }).policy,
    theta: Number(theta.toFixed(3)),
  };
}
