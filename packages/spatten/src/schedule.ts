import { ArgumentError } from '@saccade/core';

/** What {@link linearSchedule} takes. */
export interface LinearScheduleOptions {
  /** Mean share that is kept over the layers that prune, in (0, 1]. */
  readonly average: number;
  /** Share of layers, from the first on, that keep everything. */
  readonly freeFraction: number;
  /** Share that the first pruning layer removes. Default: as much below the mean as the last one is above. */
  readonly start?: number;
}

/**
 * Shares of the original tokens (or heads) that each layer keeps: all in the first ones, then a removed share that rises
 * linearly from r_start to r_end with r_start + r_end = 2 r_average (paper, section on hyperparameters).
 *
 * @throws ArgumentError for shares outside their range, or a start that leaves the last layer nothing.
 */
export function linearSchedule(layers: number, options: LinearScheduleOptions): number[] {
  const { average, freeFraction } = options;
  if (!(Number.isInteger(layers) && layers >= 1)) throw new ArgumentError('layers', layers, 'an integer of 1 or more');
  if (!(average > 0 && average <= 1)) throw new ArgumentError('average', average, 'a share over 0, up to 1');
  if (!(freeFraction >= 0 && freeFraction <= 1))
    throw new ArgumentError('freeFraction', freeFraction, 'a share from 0 to 1');
  const removed = 1 - average;
  const { start = 2 * removed - Math.min(1.5 * removed, (1 + removed) / 2) } = options;
  const end = 2 * removed - start;
  if (!(start >= 0 && start <= removed && end < 1)) {
    const least = Math.max(0, 2 * removed - 1);
    throw new ArgumentError('start', start, `a share from ${least} (the last layer must keep some) to ${removed}`);
  }
  const free = Math.min(layers, Math.ceil(freeFraction * layers));
  const pruning = layers - free;
  return Array.from({ length: layers }, (_, layer) => {
    if (layer < free) return 1;
    const place = pruning === 1 ? 0.5 : (layer - free) / (pruning - 1);
    return 1 - (start + (end - start) * place);
  });
}

/** How many of n a share keeps: floor(share n), at least one. */
export function keptCount(share: number, n: number): number {
  // Products such as 0.29 * 100 fall short of the whole number that they mean.
  return Math.max(1, Math.min(n, Math.floor(share * n + 1e-9)));
}

/** @throws ArgumentError unless every share is over 0 and up to 1, none exceeds the one before, and there is one per layer. */
export function checkCascade(name: string, shares: readonly number[], layers: number): void {
  if (shares.length !== layers) {
    throw new ArgumentError(name, `${shares.length} shares`, `one for each of the model's ${layers} layers that prune`);
  }
  shares.forEach((share, layer) => {
    if (!(share > 0 && share <= 1)) throw new ArgumentError(`${name}[${layer}]`, share, 'a share over 0, up to 1');
    const before = shares[layer - 1] ?? 1;
    if (share > before) {
      throw new ArgumentError(
        `${name}[${layer}]`,
        share,
        `at most ${before}, that of the layer before: what is pruned stays so`,
      );
    }
  });
}
