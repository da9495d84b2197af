import type { Level } from '../src/scenes/scene.ts';

/** How many training scenes there are of each level. Level 5 is never trained on. */
export const scenesPerLevel: Readonly<Record<Level, number>> = { 1: 6000, 2: 8000, 3: 8000, 4: 4000, 5: 0 };

/** The seed of a training scene; held-out scenes have seeds from 2^40 on. */
export const trainingSeed = (level: Level, index: number): number => level * 1_000_000 + index;
