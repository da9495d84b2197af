import { ArgumentError } from '../../errors.ts';

/** The factor on the learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number;

export interface CosineScheduleOptions {
  /** Steps over which the factor falls to `floor`, those of the warm-up included. */
  readonly steps: number;
  /** First steps, over which the factor rises linearly to 1: `(step + 1) / warmup`. Default 0. */
  readonly warmup?: number;
  /** Where it ends and stays. Default 0. */
  readonly floor?: number;
}

/**
 * Linear warm-up, then half a cosine from 1 to `floor` (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts).
 *
 * @throws ArgumentError for options out of their range
 */
export function cosineSchedule({ steps, warmup = 0, floor = 0 }: CosineScheduleOptions): Schedule {
  if (!(Number.isInteger(steps) && steps >= 1))
    throw new ArgumentError('cosineSchedule: steps', steps, 'an integer of 1 or more');
  if (!(Number.isInteger(warmup) && warmup >= 0 && warmup < steps)) {
    throw new ArgumentError('cosineSchedule: warmup', warmup, `an integer from 0 to ${steps - 1}`);
  }
  if (!(floor >= 0 && floor <= 1)) throw new ArgumentError('cosineSchedule: floor', floor, '0 <= floor <= 1');
  return (step) => {
    if (step < warmup) return (step + 1) / warmup;
    const done = Math.min((step - warmup) / (steps - warmup), 1);
    return floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * done));
  };
}
