import { SaccadeError } from '@saccade/core';
import { spreadOf } from '../report/format.ts';
import type { Roofline } from '../result-file/types.ts';
import type { PeakName } from './microbenchmark.ts';

/** Over this share of a peak a kernel cannot be: then the peak was measured too low. */
const mostShare = 1.1;

/** A kernel was faster than the peak that it is compared with, twice. */
export class RooflineError extends SaccadeError {
  constructor(share: number) {
    super(
      'roofline',
      `The kernel reached ${Math.round(100 * share)}% of its peak in two runs: the roofline is wrong. Measure again with ` +
        'nothing else running; where it stays so, the sweep lacks the candidate that this adapter is fast with.',
    );
  }
}

/**
 * The rate of a peak. Bandwidth depends on the working set: the measured one that is nearest to `bytes` counts.
 *
 * @returns Infinity where the roofline lacks the peak, so that no share of it is claimed
 */
export function peakRate(roofline: Roofline, name: PeakName, bytes = 0): number {
  const distance = (size: number | undefined) =>
    size === undefined || bytes === 0 ? 0 : Math.abs(Math.log2(size / bytes));
  const [nearest] = roofline.peaks
    .filter((peak) => peak.name === name)
    .sort((a, b) => distance(a.workingSetBytes) - distance(b.workingSetBytes));
  return nearest ? spreadOf(nearest.value).centre : Number.POSITIVE_INFINITY;
}

/** A share of a peak that a kernel seems to reach, by its median time. */
export interface ClaimedShare {
  readonly share: number;
  /** Times the kernel once more; the share of that run. */
  readonly measureAgain: () => Promise<number>;
}

/**
 * A share of a peak that is not over 110%: where it is, the kernel is measured once more.
 * @throws RooflineError when it is again.
 */
export async function plausibleShare({ share, measureAgain }: ClaimedShare): Promise<number> {
  if (share <= mostShare) return share;
  const again = await measureAgain();
  if (again > mostShare) throw new RooflineError(again);
  return again;
}
