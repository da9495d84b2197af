import type { Family } from './family.ts';
import { llama } from './llama.ts';

/** Every supported architecture. */
export const families: readonly Family[] = [llama];

/** The family that a configuration was read by. */
export function familyOf(architecture: string): Family {
  return families.find((family) => family.name === architecture) as Family;
}
