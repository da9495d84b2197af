import type { ResolvedSparseDOptions } from './options.ts';

/** What a step does: dense attention, dense attention that blocks are chosen by, or attention over the chosen blocks. */
export type StepKind = 'dense' | 'choosing' | 'sparse';

type ScheduleOptions = Pick<ResolvedSparseDOptions, 'skip' | 'schedule'>;

/** The step whose queries and keys choose the blocks, 0-based over the whole generation; at or past `steps` where none does. */
export function choosingStep(steps: number, { skip, schedule }: ScheduleOptions): number {
  return Math.floor(steps * skip) + (schedule === 'reference' ? 1 : 0);
}

/** What step `index` of `steps` does. */
export function stepKind(index: number, steps: number, options: ScheduleOptions): StepKind {
  const choosing = choosingStep(steps, options);
  if (index < choosing) return 'dense';
  return index === choosing ? 'choosing' : 'sparse';
}
