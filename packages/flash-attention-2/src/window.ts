import { OptionError } from '@saccade/core';
import type { ResolvedFlashAttentionOptions } from './options.ts';

/** How far a query sees beside its own position; infinite where nothing bounds it. */
export interface Window {
  readonly left: number;
  readonly right: number;
}

/**
 * The window of a call; causality is a right side of 0.
 *
 * @throws OptionError unless the window has two entries.
 */
export function windowOf({ causal, window }: Pick<ResolvedFlashAttentionOptions, 'causal' | 'window'>): Window {
  const [left, right] = window;
  if (left === undefined || right === undefined || window.length !== 2) {
    throw new OptionError('window', window, 'two integers >= -1: [left, right]');
  }
  const bound = (keys: number) => (keys < 0 ? Number.POSITIVE_INFINITY : keys);
  return { left: bound(left), right: causal ? 0 : bound(right) };
}
