import type { TheoreticalRate } from './theoretical-rate.ts';

/** Browsers do not tell the processor's clock. */
export function theoreticalFma(): TheoreticalRate | undefined {
  return undefined;
}
