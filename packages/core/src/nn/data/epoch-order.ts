import { RandomStream } from '../../random/random-stream.ts';
import type { Seed } from '../../random/seed.ts';

/** The order in which an epoch visits its items, and the stream of choices that goes on behind it. The same for a seed and epoch. */
export function epochOrder(items: number, seed: Seed, epoch: number): { order: number[]; random: RandomStream } {
  const random = new RandomStream(seed, epoch);
  return { order: random.shuffle(Array.from({ length: items }, (_, item) => item)), random };
}
