/** VAR in plain f64 loops: the definition that the GPU path is compared with. */

/** A residual's normalised magnitude in the sink dimensions. */
export function sinkScoreReference(residual: readonly number[], dimensions: readonly number[], epsilon = 1e-6): number {
  const meanSquare = residual.reduce((sum, x) => sum + x * x, 0) / residual.length;
  const root = Math.sqrt(meanSquare + epsilon);
  return Math.max(...dimensions.map((dimension) => Math.abs(residual[dimension] as number) / root));
}

/** Numbers that decide which rows change, and how much. */
export interface RedistributionNumbers {
  readonly keep: number;
  readonly minNonSinkRatio: number;
  readonly minVisualMass: number;
}

/**
 * One row of attention after redistribution.
 *
 * @param row probabilities [M]
 * @param image whether each key holds an image [M]
 * @param sink whether each key is a sink [M]
 */
export function redistributeReference(
  row: readonly number[],
  image: readonly boolean[],
  sink: readonly boolean[],
  { keep, minNonSinkRatio, minVisualMass }: RedistributionNumbers,
): number[] {
  const massOf = (wanted: (key: number) => boolean) =>
    row.reduce((sum, probability, key) => (wanted(key) ? sum + probability : sum), 0);
  const visual = massOf((key) => image[key] === true);
  const plain = massOf((key) => image[key] === true && !sink[key]);
  const hasVisualSink = row.some((probability, key) => image[key] && sink[key] && probability > 0);
  if (!hasVisualSink || plain <= 0 || visual < minVisualMass || plain / visual < minNonSinkRatio) return [...row];
  const budget = (1 - keep) * massOf((key) => sink[key] === true);
  return row.map((probability, key) => {
    if (sink[key]) return keep * probability;
    return image[key] ? probability + (budget * probability) / plain : probability;
  });
}
