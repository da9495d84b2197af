/**
 * How much work one dispatch and one submission may hold. An operating system resets a GPU that does not answer for about
 * 2 s, and the tab or process loses its device: docs/decisions/0024-work-per-dispatch.md.
 */

import type { AdapterFacts, Capabilities } from './capabilities.ts';

/** Longest that a dispatch or a submission should take, a quarter of what watchdogs allow. */
export const longestSeconds = 0.5;

/**
 * FLOP/s that this library's kernels sustain on the slowest device of a class, by what an adapter tells of itself: there is
 * no way to ask for a speed. The first match counts.
 */
const sustainedFlops: readonly { readonly adapters: RegExp; readonly flops: number }[] = [
  { adapters: /ampere|lovelace|hopper|blackwell/i, flops: 1e12 },
  { adapters: /nvidia|apple|radeon (rx|pro)|\barc\b/i, flops: 0.5e12 },
];

/** Integrated and mobile GPUs of 0.3 TFLOP/s at their peak, and whatever does not say what it is. */
const sustainedFlopsOfOthers = 0.1e12;

/** The default of `maxDispatchFlops`. Nobody watches a software adapter, so there it is Infinity. */
export function defaultMaxDispatchFlops(
  { software }: Pick<Capabilities, 'software'>,
  { vendor, architecture, device, description }: AdapterFacts,
): number {
  if (software) return Number.POSITIVE_INFINITY;
  const text = `${vendor} ${architecture} ${device} ${description}`;
  const flops = sustainedFlops.find(({ adapters }) => adapters.test(text))?.flops ?? sustainedFlopsOfOthers;
  return longestSeconds * flops;
}

/**
 * Workgroups of each dispatch of a launch: all where its work is within the bound, else about equal ranges that are. A single
 * workgroup cannot be divided, whatever it costs.
 */
export function workgroupsPerDispatch(workgroups: number, flops: number, maxFlops: number): number {
  if (flops <= maxFlops) return workgroups;
  const most = Math.max(1, Math.floor((maxFlops * workgroups) / flops));
  return Math.ceil(workgroups / Math.ceil(workgroups / most));
}
