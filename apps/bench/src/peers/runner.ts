import type { Work } from './work.ts';

/** One implementation with one work prepared: inputs are on its device, pipelines are compiled by the first run. */
export interface PreparedWork {
  /** Does the work once; milliseconds until the device is done, without upload, and without download of the result. */
  run(): Promise<number>;
  /** The result, row-major; for a model the token ids of a greedy continuation. */
  output(): Promise<ArrayLike<number>>;
  dispose(): void | Promise<void>;
}

/** An implementation that can be asked to do works. */
export interface Implementation {
  /** Version and device, as it tells. */
  readonly description: string;
  prepare(work: Work): Promise<PreparedWork>;
}

/** Greedy tokens that models are compared by. */
export const comparedTokens = 16;

/** Text of the prompt of a whole model; repeated until it is long enough. */
export const promptSentence =
  'The quick brown fox jumps over the lazy dog, and nobody knows why it should have done so. ';

/** Milliseconds of an asynchronous work. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
