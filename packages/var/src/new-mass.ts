import type { SetWeightNames } from '@saccade/core';
import { imageSet, otherSet, textSinkSet, visualSinkSet } from './kernels/token-sets.ts';

/** All sets of keys, by their number. */
export const sets = [imageSet, visualSinkSet, textSinkSet, otherSet] as const;

/** What a set gets in the end, as WGSL. A row without visual sinks is not image-centric. */
export function newMass({ set, mass, number }: Pick<SetWeightNames, 'set' | 'mass' | 'number'>): string {
  const own = mass(set);
  if (set === otherSet) return own;
  const [image, visualSinks, textSinks] = [imageSet, visualSinkSet, textSinkSet].map(mass);
  const visual = `(${image} + ${visualSinks})`;
  const looks = [
    `${visualSinks} > 0.0`,
    `${image} > 0.0`,
    `${visual} >= ${number('minVisualMass')}`,
    `${image} >= ${number('minNonSinkRatio')} * ${visual}`,
  ].join(' && ');
  const changed =
    set === imageSet
      ? `${image} + (1.0 - ${number('keep')}) * (${visualSinks} + ${textSinks})`
      : `${number('keep')} * ${own}`;
  return `select(${own}, ${changed}, ${looks})`;
}
