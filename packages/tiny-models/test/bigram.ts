/**
 * A byte model that knows the byte before: counts of the training text, smoothed towards the frequencies of single bytes.
 * What any language model must beat.
 *
 * @returns Negative log-likelihood in nats of `byte` behind `before`.
 */
export function bigramModel(training: Uint8Array): (before: number, byte: number) => number {
  const weight = 20;
  const singles = new Float64Array(256).fill(1);
  const pairs = new Float64Array(256 * 256);
  const followed = new Float64Array(256);
  for (const [index, byte] of training.entries()) {
    singles[byte] = (singles[byte] as number) + 1;
    const before = training[index - 1];
    if (before === undefined) continue;
    pairs[before * 256 + byte] = (pairs[before * 256 + byte] as number) + 1;
    followed[before] = (followed[before] as number) + 1;
  }
  const total = singles.reduce((sum, count) => sum + count, 0);
  return (before, byte) => {
    const prior = (weight * (singles[byte] as number)) / total;
    return -Math.log(((pairs[before * 256 + byte] as number) + prior) / ((followed[before] as number) + weight));
  };
}
