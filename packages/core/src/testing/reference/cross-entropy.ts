/** Negative log-likelihood per row in f64, against smoothed targets, of ignored targets 0; logits row-major [rows, classes]. */
export function crossEntropyReference(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  classes: number,
  options: { readonly ignoreIndex?: number; readonly labelSmoothing?: number } = {},
): Float64Array {
  const { ignoreIndex, labelSmoothing = 0 } = options;
  return Float64Array.from(targets, (target, row) => {
    if (target === ignoreIndex) return 0;
    const values = Array.from({ length: classes }, (_, index) => logits[row * classes + index] as number);
    const maximum = Math.max(...values);
    const sum = values.reduce((total, value) => total + Math.exp(value - maximum), 0);
    const average = values.reduce((total, value) => total + value, 0) / classes;
    const score = (1 - labelSmoothing) * (values[target] as number) + labelSmoothing * average;
    return Math.log(sum) + maximum - score;
  });
}
