import { ArgumentError, quantile } from '@saccade/core';

/**
 * Share of key blocks that hold `share` of a distribution's mass, the heaviest first.
 *
 * @param mass Mass of each key.
 */
export function massCoverage(mass: ArrayLike<number>, blockSize: number, share = 0.9): number {
  if (!(Number.isInteger(blockSize) && blockSize >= 1))
    throw new ArgumentError('blockSize', blockSize, 'an integer of 1 or more');
  const blocks = new Float64Array(Math.ceil(mass.length / blockSize));
  for (let key = 0; key < mass.length; key++) {
    const block = Math.floor(key / blockSize);
    blocks[block] = (blocks[block] as number) + (mass[key] as number);
  }
  const total = blocks.reduce((sum, block) => sum + block, 0);
  let gathered = 0;
  const sorted = blocks.sort().reverse();
  const needed = sorted.findIndex((block) => {
    gathered += block;
    return gathered >= share * total;
  });
  return (needed + 1) / blocks.length;
}

/** Mean of the values, those outside 1.5 interquartile ranges of the quartiles drawn in to there. */
export function clippedMean(values: readonly number[]): number {
  const [low, high] = [quantile(values, 0.25), quantile(values, 0.75)];
  const reach = 1.5 * (high - low);
  return average(values.map((value) => Math.min(Math.max(value, low - reach), high + reach)));
}

/** The arithmetic mean. */
export function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
