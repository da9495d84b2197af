import {
  ArgumentError,
  bootstrapMedianRatio,
  type Interval,
  summarizeTimings,
  type TimingSummary,
} from '@saccade/core';

/** One of the things that are timed against each other. */
export interface TimedVariant<Name extends string = string> {
  readonly name: Name;
  /**
   * Does the work once and resolves when it is done on the GPU too. Where it returns a number, that is its time in
   * milliseconds (GPU time, or one part of the work); else the wall time of the call counts.
   */
  run(): Promise<number | undefined>;
}

export interface InterleaveOptions {
  /** Measured rounds; every variant runs once in each. */
  readonly rounds: number;
  /** Rounds before that, not counted; 2 if absent. */
  readonly warmUp?: number;
  readonly signal?: AbortSignal;
  /** Called after each call of a variant. */
  readonly onRun?: () => void;
}

/** Times of one variant: the summary, and the samples in the order of the rounds. */
export interface InterleavedTimes {
  readonly summary: TimingSummary;
  /** Milliseconds; index = round, so that equal indices of two variants were measured next to each other. */
  readonly samples: readonly number[];
}

/**
 * Times variants alternately, A B C, B C A, ..., so that a machine that slows down or speeds up meanwhile hits all of
 * them alike, and none always runs first.
 *
 * @throws ArgumentError for fewer than one round, or repeated names; whatever a variant or the signal throws.
 */
export async function interleave<Name extends string>(
  variants: readonly TimedVariant<Name>[],
  options: InterleaveOptions,
): Promise<ReadonlyMap<Name, InterleavedTimes>> {
  const { rounds, warmUp = 2, signal, onRun } = options;
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new ArgumentError('rounds', rounds, 'an integer >= 1');
  if (!Number.isSafeInteger(warmUp) || warmUp < 0) throw new ArgumentError('warmUp', warmUp, 'an integer >= 0');
  const samples = new Map<Name, number[]>(variants.map(({ name }) => [name, []]));
  if (samples.size !== variants.length) {
    throw new ArgumentError(
      'variants',
      variants.map(({ name }) => name),
      'different names',
    );
  }
  for (let round = -warmUp; round < rounds; round++) {
    const first = (round + warmUp) % Math.max(1, variants.length);
    for (const variant of [...variants.slice(first), ...variants.slice(0, first)]) {
      signal?.throwIfAborted();
      const start = performance.now();
      const own = await variant.run();
      const elapsed = own ?? performance.now() - start;
      if (round >= 0) samples.get(variant.name)?.push(elapsed);
      onRun?.();
    }
  }
  return new Map([...samples].map(([name, times]) => [name, { summary: summarizeTimings(times), samples: times }]));
}

/**
 * How many times faster `times` is than `reference`: the ratio of their medians, with its 95% interval from the pairs of
 * runs that were measured next to each other.
 */
export function speedup(reference: InterleavedTimes, times: InterleavedTimes): Interval {
  return bootstrapMedianRatio(reference.samples, times.samples);
}
